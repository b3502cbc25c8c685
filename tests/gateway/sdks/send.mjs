// Sends the same calls with an SDK of another vendor, unchanged but for its host: node send.mjs segment|rudderstack HOST KEY

import { Analytics } from "@segment/analytics-node";
import RudderAnalytics from "@rudderstack/rudder-sdk-node";

const [vendor, host, writeKey] = process.argv.slice(2);
const failed = (error) => {
  console.error(error);
  process.exitCode = 1;
};

const client =
  vendor === "segment"
    ? new Analytics({ writeKey, host, maxRetries: 1 }).on("error", failed)
    : new RudderAnalytics(writeKey, { dataPlaneUrl: host, retryCount: 1, errorHandler: failed, logLevel: "error" });

client.identify({ userId: "ana", anonymousId: "cookie-1", traits: { persona: "analyst" } });
client.track({ userId: "ana", event: "Signed Up", properties: { plan: "free" } });
client.page({ userId: "ana", name: "Pricing", properties: { path: "/pricing" } });
client.screen({ userId: "ana", name: "Home", properties: {} });
client.group({ userId: "ana", groupId: "acme", traits: { seats: 5 } });
client.alias({ previousId: "cookie-2", userId: "ana" });

await (vendor === "segment" ? client.closeAndFlush({ timeout: 10_000 }) : client.flush());

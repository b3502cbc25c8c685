/** The script tag: `window.onramp`. */

import { createClient, onramp } from "./index";

(globalThis as { onramp?: unknown }).onramp = Object.assign(onramp, { createClient });

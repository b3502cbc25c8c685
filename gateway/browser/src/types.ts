/** What `onramp.init` and `createClient` take. */
export interface Options {
  /** Address of the gateway, like `https://onramp.example.com`. A path is kept; a relative one is relative to the page. */
  host: string;
  /** The publishable key: it may only send events. A server secret never belongs into a page. */
  key: string;
  /** The signed-in user. Leave it out before sign-in: then events carry an anonymous id. */
  user?: string | undefined;
  /** Returns a fresh user token from your own server. It is called when a token is missing, about to expire, or was refused. */
  token?: (() => string | Promise<string>) | undefined;
  /** Send `page_view` at the start and whenever the path changes. On by default in a browser. */
  pageViews?: boolean | undefined;
  /** Send `button_click` and `form_submit` for elements with `data-onramp-click="target"` and `data-onramp-form="name"`. On by default. */
  clicks?: boolean | undefined;
  /** Keep events that are not yet acknowledged in localStorage. On by default. */
  persist?: boolean | undefined;
  /** What counts as the path of a page. Default: `location.pathname`, without query and fragment. */
  path?: ((location: Location) => string) | undefined;
  /** Told in one sentence what went wrong; without it the console is. Nothing is ever thrown into the page. */
  onError?: ((problem: string) => void) | undefined;
  /** How guidance is rendered; `false` renders nothing. Only for `onramp.init`. */
  ui?: UiOptions | false | undefined;
}

/** How guidance looks and what its links do. */
export interface UiOptions {
  /** Step id to CSS selector of the element that its tooltip points at. Elements with `data-onramp-step="id"` need no entry. */
  targets?: Record<string, string> | undefined;
  /** Follows a link inside of a single-page app. Default: the browser follows it. */
  navigate?: ((link: string) => void) | undefined;
  /** Other origins that links may lead to. Links to any origin but the page's own are left out otherwise. */
  linkOrigins?: string[] | undefined;
  /** `true` for a floating checklist, an element or a selector to fill one in. Off by default. */
  checklist?: boolean | string | Element | undefined;
  /** Key that moves the focus to the guidance on the screen, like `Alt+Shift+G`; `false` for none. */
  shortcut?: string | false | undefined;
  /** Texts of buttons and labels, in your language. */
  strings?: Partial<Strings> | undefined;
}

export interface Strings {
  suggestion: string;
  open: string;
  dismiss: string;
  notNow: string;
  checklist: string;
  /** `{done}` and `{total}` are replaced. */
  progress: string;
  done: string;
  current: string;
  /** Said to screen readers when guidance appears; `{key}` is replaced. */
  goTo: string;
}

/** The guidance of one user, as `GET /v1/recommendations/USER` returns it (docs/http.md). `uiComponent` is `none` where nothing is to be shown. */
export interface Recommendation {
  recommendationId: string;
  version: number;
  message: string;
  uiComponent: string;
  deepLink: string | null;
  stepId: string | null;
  pathId: string | null;
  trigger: string | null;
  arm: string | null;
  propensity: number | null;
  source: string | null;
  reason: string | null;
  createdAt: string | null;
  expiresAt: string | null;
}

export type StepStatus = "done" | "current" | "open";

export interface Step {
  id: string;
  title: string;
  link: string | null;
  status: StepStatus;
  completedAt: string | null;
}

/** How far one user is. */
export interface Progress {
  version: number;
  pathId: string | null;
  pathTitle: string | null;
  steps: Step[];
  /** Id of the current step. */
  nextStep: string | null;
  activatedAt: string | null;
  updatedAt: string | null;
}

/** One event on its way: waiting, stored by the gateway, or refused. Only a refused `identity_merged` is sent again, by the next page. */
export interface Delivery {
  event: Record<string, unknown>;
  state: "waiting" | "stored" | "refused";
}

/** `off`: without a token callback or a user. `polling`: the stream does not get through. */
export type Connection = "off" | "connecting" | "stream" | "polling";

export interface ClientEvents {
  /** The guidance to show now, or null. */
  recommendation: Recommendation | null;
  /** The record as it is stored, also where it says to show nothing. */
  record: Recommendation | null;
  progress: Progress | null;
  delivery: Delivery;
  connection: Connection;
}

/** Sends events and follows one user's guidance; renders nothing. No method throws or rejects. */
export interface Client {
  readonly user: string | null;
  readonly recommendation: Recommendation | null;
  readonly record: Recommendation | null;
  readonly progress: Progress | null;
  readonly connection: Connection;
  /** Send an event of any type of docs/events.md. Returns its id, or an empty text for what cannot be sent. */
  send(eventType: string, payload?: Record<string, unknown>, name?: string): string;
  track(name: string, properties?: Record<string, unknown>): void;
  page(path?: string, title?: string): void;
  /** The visitor signs in: what was sent before belongs to this user from now on. */
  identify(user: string, traits?: Record<string, unknown>): void;
  /** The user signs out. What follows is a new visitor. */
  reset(): void;
  /** Report what became of guidance that you rendered yourself. Each is sent once for a recommendation. */
  shown(recommendationId: string): void;
  clicked(recommendationId: string): void;
  dismissed(recommendationId: string): void;
  /** Whether the user has clicked or dismissed this recommendation. */
  isClosed(recommendationId: string): boolean;
  /** Call `listener` at every change. Returns a function that ends that. */
  on<K extends keyof ClientEvents>(what: K, listener: (value: ClientEvents[K]) => void): () => void;
  /** Send now what is waiting. Resolves when the gateway has answered, whatever it said. */
  flush(): Promise<void>;
  /** End all requests and listeners. Unsent events stay in localStorage. */
  destroy(): void;
}

/** A client whose guidance is rendered. */
export interface Onramp extends Client {
  /** Start. A second call ends what the first one started. */
  init(options: Options): Client;
  /** Move the focus to the guidance on the screen. Returns whether there is any. */
  focus(): boolean;
}

// How a panel talks to the page that shows it, its host: every call is a message with an id, and so is the host's answer to it.
// Messages are taken from the parent alone. They are sent to it whatever its origin: who may be the parent of a panel's page, the server says
// (`frame-ancestors`), and a page has no other way to know it.

const METHODS = [
  "invoke",
  "executeWorkflow",
  "subscribeToExecutionEvents",
  "getSettings",
  "listFiles",
  "readFile",
  "writeFile",
  "deleteFile",
  "createDirectory",
];
const LEVELS = ["log", "warn", "error", "debug"];
const MOST_EARLY = 1_000; // events of executions that nobody has subscribed to yet

function connect() {
  const host = window.parent === window ? null : window.parent;
  const page = Math.random().toString(36).slice(2); // what a page that was here before has asked is not answered to this one
  const waiting = new Map(); // by call id
  const subscribers = new Map(); // by execution id
  const themeListeners = new Set();
  let calls = 0;
  let early = [];
  let theme = null;
  let variables = [];

  const run = (listener, ...given) => {
    try {
      listener?.(...given);
    } catch (error) {
      reportError(error); // the others are told all the same
    }
  };

  const post = (message) => host.postMessage(message, "*");

  const call = (method, ...args) =>
    new Promise((resolve, reject) => {
      if (host === null) {
        reject(new Error(`'${method}' cannot be called: this page is in no frame of a host.`));
        return;
      }
      const id = `${page}-${++calls}`;
      const tooLate = () => {
        waiting.delete(id);
        reject(new Error(`The host has not answered '${method}' within ${api.timeoutMs / 1000} seconds.`));
      };
      post({ type: "comfy-tavern-api-call", id, payload: { method, args } }); // raises what cannot be sent, and so rejects
      waiting.set(id, { resolve, reject, timer: api.timeoutMs > 0 ? setTimeout(tooLate, api.timeoutMs) : undefined });
    });

  const answered = ({ id, payload, error }) => {
    const call = waiting.get(id);
    if (call === undefined) return;
    waiting.delete(id);
    clearTimeout(call.timer);
    if (error === undefined || error === null) call.resolve(payload);
    else call.reject(new Error(error.message ?? String(error), { cause: error }));
  };

  const happened = ({ event, executionId, payload }) => {
    const listening = subscribers.get(executionId);
    if (listening === undefined) {
      early.push({ event, executionId, payload });
      if (early.length > MOST_EARLY) early.shift();
      return;
    }
    for (const listeners of [...listening]) tell(listeners, event, payload);
  };

  const tell = (listeners, event, payload) => {
    if (event === "onResult" || event === "onError") run(listeners[event], payload);
  };

  const subscribe = (executionId, listeners) => {
    const isFirst = !subscribers.has(executionId);
    if (isFirst) subscribers.set(executionId, new Set());
    const listening = subscribers.get(executionId);
    const entry = { ...listeners }; // two subscriptions may have the same listeners
    listening.add(entry);
    const missed = early.filter((told) => told.executionId === executionId);
    early = early.filter((told) => told.executionId !== executionId);
    queueMicrotask(() => {
      for (const told of missed) if (listening.has(entry)) tell(entry, told.event, told.payload);
    });
    if (isFirst) {
      call("subscribeToExecutionEvents", executionId).catch((error) => {
        for (const one of [...listening]) tell(one, "onError", { message: error.message });
        subscribers.delete(executionId); // the next one asks again
      });
    }
    return () => {
      listening.delete(entry);
    };
  };

  const themed = (next) => {
    const { style, dataset } = document.documentElement;
    if (next.variables) {
      for (const name of variables) style.removeProperty(name);
      const entries = Object.entries(next.variables).map(([name, value]) => [name.startsWith("--") ? name : `--${name}`, value]);
      for (const [name, value] of entries) style.setProperty(name, String(value));
      variables = entries.map(([name]) => name);
    }
    if (typeof next.mode === "string") dataset.theme = next.mode;
    if (next.mode === "light" || next.mode === "dark") style.colorScheme = next.mode;
    theme = next;
    for (const listener of [...themeListeners]) run(listener, next);
  };

  const onThemeChange = (listener) => {
    themeListeners.add(listener);
    const known = theme;
    if (known !== null) queueMicrotask(() => themeListeners.has(listener) && theme === known && run(listener, known));
    return () => {
      themeListeners.delete(listener);
    };
  };

  const log = (level, ...message) => {
    if (level === "info") level = "log";
    if (!LEVELS.includes(level)) [level, message] = ["log", [level, ...message]];
    if (host === null) console[level](...message);
    else post({ type: "panel-log", payload: { level, message: message.map(sendable) } });
  };

  window.addEventListener("message", ({ source, data }) => {
    if (host === null || source !== host || data === null || typeof data !== "object") return;
    if (data.type === "comfy-tavern-api-response") answered(data);
    else if (data.type === "execution-event") happened(data);
    else if (data.type === "comfy-tavern-theme-update" && data.payload) themed(data.payload);
  });

  const api = {
    timeoutMs: 120_000,
    call,
    ...Object.fromEntries(METHODS.map((method) => [method, (...args) => call(method, ...args)])),
    subscribe,
    log,
    onThemeChange,
  };
  if (host !== null) post({ type: "panel-sdk-ready" });
  return api;
}

function sendable(value) {
  try {
    structuredClone(value);
    return value;
  } catch {
    return typeof value === "object" ? Object.prototype.toString.call(value) : String(value); // an element, a function
  }
}

window.comfyTavern ??= {};
window.comfyTavern.panelApi ??= connect(); // once, however often it is loaded

export const panelApi = window.comfyTavern.panelApi;

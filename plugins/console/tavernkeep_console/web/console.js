// The server's page: what runs, live over /ws; a form that runs a stored workflow; plugins; the machine.
// Everything from outside is put in as text, never as markup.
const TEXTS = {
  en: {
    skip: "Skip to the content", theme: "Dark or light", api: "API", now: "Now", running: "running", pending: "waiting", workflow: "Workflow",
    state: "State", started: "Started", none: "Nothing yet.", run: "Run a workflow", project: "Project", go: "Run", log: "Log of an execution",
    plugins: "Plugins", plugin: "Plugin", version: "Version", about: "About", status: "Server", connected: "connected", lost: "not connected, trying again",
    show: "Show", stop: "Stop", unnamed: "(unnamed)", library: "(none)", noLogin: "The status has a login.", answer: "Answer",
    userName: "User name", password: "Password", code: "One-time code", logIn: "Log in", logOut: "Log out",
    states: {queued: "waiting", running: "running", complete: "complete", error: "failed", interrupted: "stopped", active: "active", disabled: "disabled", failed: "failed", unavailable: "unavailable"},
    facts: {version: "Version", uptime: "Up for", os: "System", cpu: "Processor", memory: "Memory", disk: "Disk"},
  },
  zh: {
    skip: "跳到正文", theme: "深色或浅色", api: "接口", now: "当前", running: "运行中", pending: "等待中", workflow: "工作流",
    state: "状态", started: "开始时间", none: "暂无。", run: "运行工作流", project: "项目", go: "运行", log: "执行日志",
    plugins: "插件", plugin: "插件", version: "版本", about: "说明", status: "服务器", connected: "已连接", lost: "连接已断开，正在重试",
    show: "查看", stop: "停止", unnamed: "（未命名）", library: "（无）", noLogin: "状态需要登录。", answer: "回答",
    userName: "用户名", password: "密码", code: "一次性验证码", logIn: "登录", logOut: "退出",
    states: {queued: "等待中", running: "运行中", complete: "完成", error: "失败", interrupted: "已停止", active: "启用", disabled: "停用", failed: "失败", unavailable: "不可用"},
    facts: {version: "版本", uptime: "已运行", os: "系统", cpu: "处理器", memory: "内存", disk: "磁盘"},
  },
};

const $ = id => document.getElementById(id);
const make = (tag, text, options = {}) => Object.assign(document.createElement(tag), text === undefined ? {} : {textContent: text}, options);
const row = (...cells) => { const tr = make("tr"); for (const cell of cells) { const td = make("td"); td.append(cell ?? ""); tr.append(td); } return tr; };

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");
let t = TEXTS[language];
let socket, shown, seen = 0, retry = 500, connected = false, why = "";

const BASE = new URL("..", import.meta.url);  // the server may be shown below a path
const at = path => new URL(path.slice(1), BASE);

const api = async (method, path, body) => {
  const options = {method, headers: body === undefined ? {} : {"content-type": "application/json"}, body: body === undefined ? undefined : JSON.stringify(body)};
  const answer = await fetch(at(path), options);
  const content = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error([content.error ?? content.message, ...(content.details ?? []).map?.(d => `${d.path}: ${d.message}`) ?? []].join(" "));
  return content;
};

// Language and theme

const translate = () => {
  t = TEXTS[language];
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t[element.dataset.t];
  $("language").textContent = language === "en" ? "中文" : "English";
  $("language").lang = language === "en" ? "zh" : "en";
  tellConnection();
};
const tellConnection = () => { $("connection").textContent = connected ? t.connected : [t.lost, why].filter(Boolean).join(": "); };
$("language").addEventListener("click", () => { language = language === "en" ? "zh" : "en"; localStorage.setItem("language", language); translate(); refresh(); });
const setTheme = theme => { if (theme) document.documentElement.dataset.theme = theme; };
setTheme(localStorage.getItem("theme"));
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  localStorage.setItem("theme", dark ? "light" : "dark");
  setTheme(dark ? "light" : "dark");
});

// What runs

const stateCell = state => make("span", t.states[state] ?? state, {className: ["error", "failed", "unavailable"].includes(state) ? "bad" : ["complete", "active"].includes(state) ? "good" : ""});
const loadExecutions = async () => {
  const {running, pending, recent = []} = await api("GET", "/api/executions");
  $("running").textContent = running.length;
  $("pending").textContent = pending.length;
  const all = [...running, ...pending, ...recent];
  $("executions").replaceChildren(...all.map(info => {
    const buttons = make("span");
    buttons.append(make("button", t.show, {type: "button", onclick: () => watch(info.promptId, info.workflowName)}));
    if (!info.completedAt) buttons.append(" ", make("button", t.stop, {type: "button", onclick: () => api("DELETE", `/api/interrupt/${info.promptId}`).catch(() => {})}));
    return row(info.workflowName ?? t.unnamed, stateCell(info.status), info.startedAt ? new Date(info.startedAt).toLocaleTimeString(language) : "", buttons);
  }));
  $("no-executions").hidden = all.length > 0;
};

// The log of one execution

const watch = (promptId, name) => {
  if (shown) send("UNSUBSCRIBE", {promptId: shown});
  shown = promptId; seen = 0;
  $("log-of").textContent = `${name ?? t.unnamed} · ${promptId}`;
  $("log").replaceChildren(); $("stream").textContent = "";
  send("SUBSCRIBE", {promptId, after: 0});
};
const short = value => { const text = typeof value === "string" ? value : JSON.stringify(value); return text.length > 400 ? `${text.slice(0, 400)}…` : text; };
const onEvent = ({type, payload}) => {
  if (payload.promptId !== shown || payload.seq <= seen) return;
  seen = payload.seq;
  if (type === "NODE_YIELD" || type === "WORKFLOW_INTERFACE_YIELD") {
    if (type === "NODE_YIELD" && payload.yieldedContent.type === "text_chunk") $("stream").textContent += payload.yieldedContent.content;
    return;
  }
  const what = payload.nodeId ?? t.states[payload.status] ?? payload.status ?? "";
  const detail = payload.output ?? payload.errorDetails?.message ?? payload.reason ?? payload.errorInfo?.message ?? payload.question;
  const item = make("li", `${what} ${type.replace(/^NODE_|^EXECUTION_/, "").toLowerCase()}${detail === undefined ? "" : ` ${short(detail)}`}`);
  if (type === "NODE_ERROR" || payload.status === "error") item.className = "bad";
  if (type === "NODE_WAITING") item.append(" ", answerForm(payload));
  $("log").append(item);
  item.scrollIntoView({block: "nearest"});
};
const answerForm = ({promptId, nodeId, choices}) => {
  const form = make("form");
  const field = choices?.length ? make("select") : make("input");
  field.setAttribute("aria-label", t.answer);
  for (const choice of choices ?? []) field.append(make("option", String(choice), {value: JSON.stringify(choice)}));
  form.append(field, make("button", t.answer));
  form.addEventListener("submit", event => {
    event.preventDefault();
    send("NODE_INPUT", {promptId, nodeId, value: choices?.length ? JSON.parse(field.value) : field.value});
    form.remove();
  });
  return form;
};

// The socket

const send = (type, payload) => { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({type, payload})); };
const connect = () => {
  let opened = false;
  const address = at("/ws");
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    connected = opened = true; retry = 500; why = ""; tellConnection(); refresh();
    send("HELLO", {batch: true});
    if (shown) send("SUBSCRIBE", {promptId: shown, after: seen});
  });
  socket.addEventListener("message", ({data}) => {
    for (const message of [JSON.parse(data)].flat()) {
      if (message.type === "SYSTEM_QUEUE_UPDATE") loadExecutions().catch(() => {});
      else if (message.type.startsWith("plugin")) loadPlugins().catch(() => {});
      else if (message.payload?.promptId) onEvent(message);
    }
  });
  socket.addEventListener("close", async ({code, reason}) => {
    connected = false;
    setTimeout(begin, retry = code === 4403 ? 10000 : retry);
    retry = Math.min(retry * 2, 10000);
    why = reason;
    tellConnection();
    if (!opened) { why = await whyNot(); tellConnection(); }
  });
};

// What the server, or a proxy before it, says where a socket does not even open
const whyNot = async () => {
  try {
    const answer = await fetch(at("/ws"));
    return (await answer.json().catch(() => ({}))).error ?? `${answer.status} ${answer.statusText}`;
  } catch { return ""; }
};

// Running a stored workflow

let current, asked;  // the workflow whose form is shown, and where the last that was chosen is
const fill = (select, items) => select.replaceChildren(...(items.length ? items : [{id: "", name: t.library}]).map(({id, name}) => make("option", name, {value: id})));
const loadProjects = async () => { fill($("project"), await api("GET", "/api/projects")); await loadWorkflows(); };
const loadWorkflows = async () => {
  const project = $("project").value;
  fill($("workflow"), project ? await api("GET", `/api/projects/${encodeURIComponent(project)}/workflows`) : []);
  await loadInputs();
};
const loadInputs = async () => {
  const [project, workflow] = [$("project").value, $("workflow").value];
  const path = workflow && `/api/projects/${encodeURIComponent(project)}/workflows/${encodeURIComponent(workflow)}`;
  if (path === asked) return;  // a form that somebody fills in stays as it is
  asked = path;
  let found = null;
  try { if (path) found = await api("GET", path); } catch (error) { if (path === asked) asked = undefined; throw error; }
  if (path !== asked) return;  // another was chosen meanwhile
  current = found;
  $("inputs").replaceChildren(...Object.entries(current?.interfaceInputs ?? {}).map(([key, slot]) => {
    const label = make("label");
    const value = slot.config?.default;
    const field = slot.dataFlowType === "BOOLEAN" ? make("input", undefined, {type: "checkbox", checked: value === true})
      : ["INTEGER", "FLOAT"].includes(slot.dataFlowType) ? make("input", undefined, {type: "number", step: slot.dataFlowType === "INTEGER" ? 1 : "any", value: value ?? ""})
      : make("textarea", undefined, {rows: 2, value: value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value)});
    Object.assign(field.dataset, {key, type: slot.dataFlowType});
    label.append(make("span", slot.displayName ?? key), field);
    return label;
  }));
  $("run").querySelector("button").disabled = !current;
};
const valueOf = field => {
  if (field.dataset.type === "BOOLEAN") return field.checked;
  if (["INTEGER", "FLOAT"].includes(field.dataset.type)) return field.value === "" ? undefined : Number(field.value);
  if (field.dataset.type === "STRING") return field.value;
  try { return JSON.parse(field.value); } catch { return field.value; }
};
$("project").addEventListener("change", () => loadWorkflows().catch(showError));
$("workflow").addEventListener("change", () => loadInputs().catch(showError));
const showError = error => { $("run-error").textContent = error.message; };
$("run").addEventListener("submit", async event => {
  event.preventDefault();
  $("run-error").textContent = "";
  const inputs = Object.fromEntries([...$("inputs").querySelectorAll("[data-key]")].map(field => [field.dataset.key, valueOf(field)]).filter(([, value]) => value !== undefined));
  try {
    const path = `/api/projects/${encodeURIComponent($("project").value)}/workflows/${encodeURIComponent($("workflow").value)}/run`;
    watch((await api("POST", path, {inputs})).promptId, current.name);
  } catch (error) { showError(error); }
});

// Plugins and the machine

const loadPlugins = async () => {
  const plugins = await api("GET", "/api/plugins?all=true");
  $("plugins").replaceChildren(...plugins.map(p => row(p.displayName, stateCell(p.status), p.version, make("span", p.error ?? p.description ?? "", {className: p.error ? "bad" : "faint"}))));
};
const size = bytes => bytes > 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const loadStatus = async () => {
  const list = $("status");
  try {
    const s = await api("GET", "/api/status");
    const hours = Math.floor(s.uptime / 3600), minutes = Math.floor(s.uptime / 60) % 60;
    const facts = {version: `${s.version} (Python ${s.python})`, uptime: `${hours} h ${minutes} min`, os: `${s.os.platform} ${s.os.release} ${s.os.arch}`, cpu: `${s.cpu.count} · ${s.cpu.usage} %`,
      memory: `${size(s.memory.used)} / ${size(s.memory.total)} · ${size(s.memory.process)}`, disk: `${size(s.disks[0].used)} / ${size(s.disks[0].total)}`};
    list.replaceChildren(...Object.entries(facts).flatMap(([key, value]) => [make("dt", t.facts[key]), make("dd", value)]));
  } catch { list.replaceChildren(make("dd", t.noLogin)); }
};

const refresh = () => Promise.allSettled([loadExecutions(), loadPlugins(), loadStatus(), loadProjects()]);

// Logging in, where there is a login

const begin = async () => {
  const who = await api("GET", "/api/auth/current").catch(() => null);
  if (who === null) { setTimeout(begin, retry); return; }
  $("login").hidden = who.isAuthenticated;
  $("main").hidden = !who.isAuthenticated;
  $("login-name").hidden = !who.multiUserMode;
  $("logout").hidden = !(who.isAuthenticated && (who.multiUserMode || who.accessPasswordRequired));
  if (who.isAuthenticated) connect();
};
$("login").addEventListener("submit", async event => {
  event.preventDefault();
  $("login-error").textContent = "";
  const given = Object.fromEntries([...new FormData($("login"))].filter(([, value]) => value !== ""));
  try {
    await api("POST", "/api/auth/login", given);
    $("login").reset();
    await begin();
  } catch (error) {
    $("login-code").hidden = $("login-code").hidden && !/code/.test(error.message);
    $("login-error").textContent = error.message;
  }
});
$("logout").addEventListener("click", async () => { await api("POST", "/api/auth/logout"); location.reload(); });

translate();
begin();
setInterval(() => { if (connected) loadStatus(); }, 15000);

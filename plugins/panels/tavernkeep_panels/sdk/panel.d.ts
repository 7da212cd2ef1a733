/** What a panel asks of the page that shows it, its host. */

export interface Execution {
  executionId: string;
}

/** A workflow of the panel's project, by its id. */
export interface NativeInvocation {
  mode: "native";
  workflowId: string;
  inputs: Record<string, unknown>;
}

/** A workflow behind an adapter of the host's; what else the adapter takes stands beside. */
export interface AdapterInvocation {
  mode: "adapter";
  adapterId: string;
  [key: string]: unknown;
}

export interface WorkflowRequest {
  workflowId: string;
  inputs: Record<string, unknown>;
}

export interface ExecutionListeners {
  /** What the execution gives. */
  onResult?: (payload: any) => void;
  /** Why it failed, or why its events cannot be followed. */
  onError?: (payload: any) => void;
}

export interface Settings {
  theme: string;
  language: string;
  /** CSS custom properties of the host's theme. */
  variables: Record<string, string>;
}

export interface Theme {
  mode: string;
  /** CSS custom properties; they have been set on the root element. */
  variables: Record<string, string>;
}

export type LogLevel = "log" | "warn" | "error" | "debug";

/** Ends what it came from: a subscription, or being told of themes. */
export type Stop = () => void;

export interface PanelApi {
  /** How long an answer of the host is waited for, in milliseconds, before the call is rejected; 0 waits for ever. At first 120000. */
  timeoutMs: number;

  /** Begin a workflow. */
  invoke(request: NativeInvocation | AdapterInvocation): Promise<Execution>;
  executeWorkflow(request: WorkflowRequest): Promise<Execution>;

  /**
   * Be told of an execution, also of what came before this was called; asks the host for its events.
   */
  subscribe(executionId: string, listeners: ExecutionListeners): Stop;
  /** Ask the host for the events of an execution; `subscribe` does so by itself. */
  subscribeToExecutionEvents(executionId: string): Promise<unknown>;

  getSettings(): Promise<Settings>;
  /** Be told of the host's theme: at once where it has said it, and whenever it changes. */
  onThemeChange(listener: (theme: Theme) => void): Stop;

  /** The panel's own files. Every path is relative to their folder. */
  listFiles(path: string): Promise<any[]>;
  readFile(path: string, encoding?: string): Promise<any>;
  writeFile(path: string, content: string | ArrayBuffer | Blob): Promise<unknown>;
  deleteFile(path: string, options?: { recursive?: boolean }): Promise<unknown>;
  createDirectory(path: string): Promise<unknown>;

  /** Write to the host's log. What cannot be sent between pages, as a function or an element, is sent as text. */
  log(level: LogLevel, ...message: unknown[]): void;

  /** Call any method of the host. */
  call(method: string, ...args: unknown[]): Promise<any>;
}

export declare const panelApi: PanelApi;

declare global {
  interface Window {
    comfyTavern: { panelApi: PanelApi };
  }
}

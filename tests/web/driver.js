// A page of the original web SDK under Node: does what a test says on stdin, and tells on stdout all
// that the SDK calls back.
//
// Owns: the shims of what a browser would provide, and the names of the SDK's objects. Must not know
// any of the SDK's methods or callbacks: they are found by their names, in commands and in objects.
//
// Commands, one JSON object a line:
//   {"do": "login", "object": NAME, "app", "account", "token", "url"}   url null: by the lookup
//   {"do": "call", "object": NAME, "method", "args", "reply"?, "result"?}
//       reply: add a callback to the arguments, told as NAME's event "reply"
//       result: the object that the method returns goes by this name from now on
//       an argument {"$undefined": true} is undefined
//   {"do": "hook", "object": NAME, "event", "method", "args", "reply"}
//       calls a method when the event is told, inside the SDK's own callback
//   {"do": "network", "up": bool}   while it is down, connections are neither made nor refused
// Events, one JSON object a line: {"object": NAME, "event", "args"}. An object of the SDK among the
// arguments is {"$object": NAME, ...its data}. The object "page" tells of errors, "socket" of
// connections.
"use strict";

const https = require("node:https");
const readline = require("node:readline");
const util = require("node:util");
const WebSocket = require("ws");

// Where lookups go, whose addresses name no port: our server's TLS port.
const lookupPort = Number(process.argv[2] || 0);

function emit(object, event, ...args) {
  process.stdout.write(`${JSON.stringify({ object, event, args })}\n`);
}

// --- the network ---

let isUp = true;
const waiting = [];

// Every name is this machine's: the SDK makes up its host names from addresses.
function lookup(_name, options, callback) {
  const answer = () =>
    options.all ? callback(null, [{ address: "127.0.0.1", family: 4 }]) : callback(null, "127.0.0.1", 4);
  if (isUp) {
    answer();
  } else {
    waiting.push(answer);
  }
}

// --- what a browser provides ---

// A browser reports what a handler throws, and goes on with the next message; `ws` would never read
// another.
class BrowserSocket extends WebSocket {
  constructor(url) {
    super(url, { lookup });
    this.addEventListener("open", () => emit("socket", "open", url));
    this.addEventListener("close", (event) => emit("socket", "close", url, event.code));
  }

  get onmessage() {
    return super.onmessage;
  }

  set onmessage(handler) {
    super.onmessage = (event) => {
      if (event.data instanceof ArrayBuffer) {
        emit("socket", "binary", event.data.byteLength);
      }
      try {
        handler(event);
      } catch (error) {
        emit("page", "error", String(error));
      }
    };
  }
}

class BrowserRequest {
  constructor() {
    this.readyState = 0;
    this.status = 0;
    this.responseText = "";
    this.onreadystatechange = null;
    this.onerror = null;
  }

  open(method, url) {
    this.method = method;
    this.url = url;
  }

  setRequestHeader() {}

  send() {
    if (this.method !== "GET") {
      return; // The SDK's reports to its vendor's statistics.
    }
    const { hostname, pathname, search } = new URL(this.url);
    this.request = https.get({ hostname, port: lookupPort, path: pathname + search, lookup }, (response) => {
      response.setEncoding("utf8");
      response.on("data", (text) => (this.responseText += text));
      response.on("end", () => {
        emit("page", "lookup", this.url, response.statusCode);
        this.status = response.statusCode;
        this.readyState = 4;
        this.onreadystatechange?.();
      });
    });
    this.request.on("error", (error) => {
      emit("page", "error", `${this.url}: ${error}`);
      this.onerror?.(error);
    });
  }

  abort() {
    this.request?.destroy();
  }
}

globalThis.window = globalThis;
globalThis.WebSocket = BrowserSocket;
globalThis.XMLHttpRequest = BrowserRequest;
Object.defineProperty(globalThis, "navigator", { value: { userAgent: "node" }, configurable: true });

// stdout is for events only.
console.log = (...args) => process.stderr.write(`${util.format(...args)}\n`);
console.error = (...args) => emit("page", "error", util.format(...args));
process.on("uncaughtException", (error) => emit("page", "error", error.stack));

const Signal = require("agora-signaling-sdk");

// --- the SDK's objects ---

const objects = new Map();
const names = new Map();

const isCallback = (name) => name.startsWith("on");
const isObject = (value) =>
  value !== null && typeof value === "object" && Object.keys(value).some(isCallback);

// Tell of every callback of `object`, under `name`.
function watch(name, object) {
  objects.set(name, object);
  names.set(object, name);
  for (const event of Object.keys(object).filter(isCallback)) {
    object[event] = (...args) => emit(name, event, ...args.map(shown));
  }
}

function shown(value) {
  if (!isObject(value)) {
    return value;
  }
  if (!names.has(value)) {
    watch(`object ${names.size + 1}`, value);
  }
  const data = Object.entries(value).filter(([name, it]) => !isCallback(name) && typeof it !== "function");
  return { $object: names.get(value), ...Object.fromEntries(data) };
}

const commands = {
  login({ object, app, account, token, url }) {
    const signal = Signal(app);
    if (url !== null) {
      signal.setup_debugging("ap_url", url);
    }
    watch(object, signal.login(account, token));
  },

  call({ object, method, args, reply, result }) {
    const callback = reply ? [(...told) => emit(reply, "reply", ...told)] : [];
    const given = args.map((arg) => (arg?.$undefined ? undefined : arg));
    const returned = objects.get(object)[method](...given, ...callback);
    if (result) {
      watch(result, returned);
    }
  },

  hook({ object, event, ...call }) {
    const hooked = objects.get(object);
    const told = hooked[event];
    hooked[event] = (...args) => {
      told(...args);
      commands.call({ object, ...call });
    };
  },

  network({ up }) {
    isUp = up;
    while (isUp && waiting.length) {
      waiting.shift()();
    }
  },
};

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));

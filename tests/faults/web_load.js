// A page of the original web SDK under Node that sends and receives for as long as it is told to, over
// whatever befalls the server, and then says what was acknowledged and what came.
//
//   node tests/faults/web_load.js URL NAME,NAME,… PEER,PEER,…
//
// The names log in, and again whenever they are logged out; each sends to the peers in turn. A line
// "stop" on stdin ends the sending, a line "tell" the program. The SDK knows what it has had for as
// long as it comes back by itself, and nothing of it after another login of the page's: what comes
// again then is told apart.
"use strict";

const readline = require("node:readline");
const WebSocket = require("ws");

const PAUSE_MS = 40;
const AGAIN_MS = 300;
const [url, namesGiven, peersGiven] = process.argv.slice(2);
const names = namesGiven.split(",");
const peers = peersGiven.split(",");

globalThis.window = globalThis;
globalThis.WebSocket = WebSocket;
if (!globalThis.navigator) {
  globalThis.navigator = { userAgent: "node" };
}
// The SDK reports to its vendor; nothing of it goes anywhere.
globalThis.XMLHttpRequest = class {
  open() {}
  setRequestHeader() {}
  send() {}
};
const log = console.log;
console.log = () => {};
console.error = () => {};
const Signal = require("../node_modules/agora-signaling-sdk/AgoraSigSDK.min.js");

const records = {};
let isSending = true;
let ready = 0;

function live(name) {
  const record = (records[name] = { acked: [], unknown: [], heard: [], again: [], reconnected: -1 });
  const known = new Set();
  const signal = Signal("app");
  let session = null;
  let isIn = false;
  function logIn() {
    signal.setup_debugging("ap_url", url);
    session = signal.login(name, "_no_need_token");
    const its = new Set();
    session.onLoginSuccess = () => {
      isIn = true;
      record.reconnected += 1;
      if (record.reconnected === 0 && ++ready === names.length) {
        process.stdout.write("ready\n");
      } else if (record.reconnected > 0 && name === names[0]) {
        process.stdout.write("back\n");
      }
    };
    const again = () => {
      isIn = false;
      setTimeout(logIn, AGAIN_MS);
    };
    session.onLoginFailed = again;
    session.onLogout = again;
    session.onMessageInstantReceive = (_account, _uid, text) => {
      // An earlier login of the page's may hear something when this one has begun.
      const isAgain = known.has(text) && !its.has(text);
      known.add(text);
      its.add(text);
      (isAgain ? record.again : record.heard).push(text);
    };
  }
  logIn();
  const others = peers.filter((peer) => peer !== name);
  let number = 0;
  const timer = setInterval(() => {
    if (!isSending) {
      clearInterval(timer);
    } else if (isIn) {
      const peer = others[number % others.length];
      const text = `${name}>${peer}#${number++}`;
      session.messageInstantSend(peer, text, (err) => {
        (err ? record.unknown : record.acked).push(text);
      });
    }
  }, PAUSE_MS);
}

names.forEach(live);
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  if (line === "stop") {
    isSending = false;
    process.stdout.write("stopped\n");
  } else if (line === "tell") {
    process.stdout.write(`${JSON.stringify(records)}\n`, () => process.exit(0));
  }
});

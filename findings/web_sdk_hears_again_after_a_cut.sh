#!/usr/bin/env bash
# agora-signaling-sdk 1.4.0 (npm): a page tells its server a second after it has heard messages up to
# which it has them. Where the connection breaks within that second, the page logs in again by itself
# and begins its inbox from 0: it is given the same messages, and `onMessageInstantReceive` hears
# each of them once more. Their versions are the same, and it compares none. `onLoginSuccess` is
# called a second time, too, so that a page that says hello there says it again. What is done for a
# message has to be of a kind that may be done twice.
#
# Seen: three messages and a connection that ends 0.3 s later: heard 1 2 3 1 2 3, two logins.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund agora-signaling-sdk@1.4.0 ws@8.18.3 >/dev/null
cat >show.js <<'JS'
const WebSocket = require("ws");
globalThis.window = globalThis;
globalThis.WebSocket = WebSocket;
globalThis.XMLHttpRequest = class { open() {} setRequestHeader() {} send() {} };
Object.defineProperty(globalThis, "navigator", { value: { userAgent: "node" }, configurable: true });
const print = console.log;
console.log = () => {};
let inbox = [1, 2, 3].map((it) => [it, `msg-v2 bob ann v1:E:3600 instant 0 ${it}`]);
let polls = 0;
let cleared = 0;
const heard = [];
let logins = 0;

const server = new WebSocket.Server({ host: "127.0.0.1", port: 0 }, () => {
  const Signal = require("agora-signaling-sdk");
  const signal = Signal("app");
  signal.setup_debugging("ap_url", `ws://127.0.0.1:${server.address().port}/`);
  const session = signal.login("ann", "_no_need_token");
  session.onLoginSuccess = () => { logins += 1; };
  session.onMessageInstantReceive = (account, uid, text) => heard.push(text);
});
server.on("connection", (socket) => {
  const say = (...frame) => socket.send(JSON.stringify(frame));
  socket.on("message", (data) => {
    const [event, payload] = JSON.parse(data);
    if (event === "login") say("login_ret", ["", '{"result":"ok","uid":1,"line":"x","config_msg_set":0}']);
    if (event === "ping") say("pong", payload);
    if (event !== "call2") return;
    const [name, id, args] = payload;
    const result = { result: "ok" };
    if (name === "user_getmsg") {
      polls += 1;
      cleared = Math.max(cleared, args.ver_clear);
      inbox = inbox.filter(([version]) => version > args.ver_clear);
      Object.assign(result, { ver_clear: args.ver_clear, msgs: inbox });
      if (polls === 1) setTimeout(() => socket.close(), 300);
    }
    say("call2-ret", [id, "", JSON.stringify(result)]);
    if (cleared === 3) {
      print(`heard: ${heard.join(" ")}`);
      print(`onLoginSuccess: ${logins} times`);
      process.exit(0);
    }
  });
});
setTimeout(() => process.exit(2), 60000);
JS
node show.js | tee seen
diff seen - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
heard: 1 2 3 1 2 3
onLoginSuccess: 2 times
SEEN

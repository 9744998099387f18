#!/usr/bin/env bash
# agora-signaling-sdk 1.4.0 (npm): a page reads its inbox by 30 messages and takes the next 30 no
# sooner than a second later, also where a page was full, the next one has been waiting all along
# and each answer comes at once. Its user who comes back to 300 messages hears the last of them ten
# seconds after the first, and a call that was made behind them rings as late; to send faster than
# 30 a second to one page is to fall ever further behind.
#
# Seen: 61 waiting messages come as 30, 30 and 1, each no less than 0.9 s behind the one before.
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
const COUNT = 61;
const pages = [];

const server = new WebSocket.Server({ host: "127.0.0.1", port: 0 }, () => {
  const Signal = require("agora-signaling-sdk");
  const signal = Signal("app");
  signal.setup_debugging("ap_url", `ws://127.0.0.1:${server.address().port}/`);
  const session = signal.login("ann", "_no_need_token");
  let heard = 0;
  session.onMessageInstantReceive = () => {
    const now = Date.now();
    const page = pages.at(-1);
    if (page && now - page.at < 100) page.count += 1;
    else pages.push({ at: now, count: 1 });
    heard += 1;
    if (heard === COUNT) {
      pages.forEach(({ at, count }, number) => {
        const late = number && at - pages[number - 1].at >= 900 ? ", no less than 0.9 s later" : "";
        print(`${count}${late}`);
      });
      process.exit(0);
    }
  };
});
server.on("connection", (socket) => {
  const say = (...frame) => socket.send(JSON.stringify(frame));
  const inbox = Array.from({ length: COUNT }, (_, i) => [i + 1, `msg-v2 bob ann v1:E:3600 instant 0 hi ${i}`]);
  socket.on("message", (data) => {
    const [event, payload] = JSON.parse(data);
    if (event === "login") say("login_ret", ["", '{"result":"ok","uid":1,"line":"x","config_msg_set":0}']);
    if (event === "ping") say("pong", payload);
    if (event !== "call2") return;
    const [name, id, args] = payload;
    const result = { result: "ok" };
    if (name === "user_getmsg") {
      result.ver_clear = args.ver_clear;
      result.msgs = inbox.filter(([version]) => version > args.ver_clear).slice(0, args.max);
    }
    say("call2-ret", [id, "", JSON.stringify(result)]);
  });
});
setTimeout(() => process.exit(2), 30000);
JS
node show.js | tee seen
diff seen - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
30
30, no less than 0.9 s later
1, no less than 0.9 s later
SEEN

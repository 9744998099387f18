#!/usr/bin/env bash
# agora-signaling-sdk 1.4.0 (npm): `onInviteFailed` has one argument, of two kinds. Where the
# invitation's own answer is a refusal it is the server's reason, in words; where the refusal comes
# later, by the inbox, it is the `extra` of that entry, mostly the caller's own JSON. A page that
# parses it as JSON throws in the one case, and one that shows it to its user shows JSON in the
# other. Nothing tells the two apart.
#
# Seen: onInviteFailed("peer is not online") and onInviteFailed("{\"video\":1}").
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
const EXTRA = '{"video":1}';

const server = new WebSocket.Server({ host: "127.0.0.1", port: 0 }, () => {
  const Signal = require("agora-signaling-sdk");
  const signal = Signal("app");
  signal.setup_debugging("ap_url", `ws://127.0.0.1:${server.address().port}/`);
  const session = signal.login("ann", "_no_need_token");
  const call = (channel) => {
    session.channelInviteUser2(channel, "bob", EXTRA).onInviteFailed = (...told) => {
      print(`${channel}: onInviteFailed(${told.map((it) => JSON.stringify(it)).join(", ")})`);
      if (channel === "refused at once") call("refused later");
      else process.exit(0);
    };
  };
  session.onLoginSuccess = () => call("refused at once");
});
server.on("connection", (socket) => {
  const say = (...frame) => socket.send(JSON.stringify(frame));
  socket.on("message", (data) => {
    const [event, payload] = JSON.parse(data);
    if (event === "login") say("login_ret", ["", '{"result":"ok","uid":1,"line":"x","config_msg_set":0}']);
    if (event === "ping") say("pong", payload);
    if (event !== "call2") return;
    const [name, id, args] = payload;
    if (name !== "voip_invite") return say("call2-ret", [id, "", '{"result":"ok","msgs":[],"ver_clear":0}']);
    if (args.channelName === "refused at once") return say("call2-ret", [id, "peer is not online", "{}"]);
    say("call2-ret", [id, "", '{"result":"ok"}']);
    const content = JSON.stringify({ channel: args.channelName, peer: "bob", extra: args.extra });
    const line = `msg-v2 bob ann v1:E:60 voip_invite_failed 0 ${content}`;
    say("notify", ["recvmsg", JSON.stringify([1, line])]);
  });
});
setTimeout(() => process.exit(2), 15000);
JS
node show.js | tee seen
diff seen - <<'SEEN' || { echo 'it is otherwise now' >&2; exit 1; }
refused at once: onInviteFailed("peer is not online")
refused later: onInviteFailed("{\"video\":1}")
SEEN

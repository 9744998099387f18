// The page: what its forms ask of the web SDK, and how it shows what the SDK calls back.

const MAX_LINES = 500; // in each list, so that a page left open does not grow for ever
const DEFAULT_PORT = 8001;
const LOGGED_IN = 2; // what a session's getStatus says then
const KEYS = [..."123456789*0#"];

// session, channel and call are the SDK's objects, or null; the rest is what the page remembers.
let session = null;
let isLoggedIn = false;
let channel = null;
let call = null;
const members = new Set();
const attributes = new Map();

const $ = (id) => document.getElementById(id);

// --- The session ---

function logIn() {
  const signal = window.Signal($("app").value);
  // An old page needs exactly this one line to find a server of yours. It stands before `login`.
  signal.setup_debugging("ap_url", `ws://${$("server").value}/`);

  isLoggedIn = false;
  show("status", "waiting", "Logging in …");
  const mine = (session = signal.login($("account").value, $("token").value));
  hear(mine, () => mine === session, {
    onLoginSuccess() {
      const name = channel?.name;
      isLoggedIn = true;
      show("status", "in", `Logged in as ${mine.account}.`);
      // It comes again when the SDK has reconnected, and has forgotten the channel that it was in.
      if (name) {
        join(name);
      }
    },
    onLoginFailed(ecode) {
      loggedOut("failed", `Login failed: ${ecode} (${reasons[ecode] ?? "see the list of codes"}).`);
    },
    onLogout(ecode) {
      loggedOut(ecode === 101 ? "out" : "failed", `Logged out: ${ecode} (${reasons[ecode] ?? "?"}).`);
    },
    onMessageInstantReceive(account, _uid, message) {
      addLine("chat-lines", account, message);
    },
    onInviteReceived(received) {
      if (call) {
        received.channelInviteRefuse(JSON.stringify({ say: "I am on the phone." }));
        return;
      }
      take(received);
      show("call-state", "called", `${received.peer} calls about ${received.channelName}.`);
    },
  });
}

const reasons = {
  101: "as asked",
  102: "the connection is lost",
  103: "the account logged in elsewhere",
  105: "the token has expired",
  201: "the server cannot be reached",
  204: "the token has expired",
  206: "the token is wrong",
  207: "another login was quicker",
  209: "the account is not valid",
};

function loggedOut(state, text) {
  session = null;
  isLoggedIn = false;
  leftChannel();
  if (call) {
    endCall("The call ended with the session.");
  }
  show("status", state, text);
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!window.Signal) {
    show("status", "failed", "The web SDK is missing: run `npm ci` in samples/web.");
    return;
  }
  logIn();
});

$("log-out").addEventListener("click", () => {
  const leaving = session;
  if (leaving.getStatus() !== LOGGED_IN) {
    // The SDK cannot give up a login that is under way, or under way again: the page does.
    leaving.onLoginSuccess = () => leaving.logout();
    loggedOut("out", "Not logged in.");
  }
  leaving.logout();
});

// --- Chat: messages from account to account ---

$("chat-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const peer = $("peer").value;
  const text = $("chat-text").value;
  addLine("chat-lines", `${session.account} → ${peer}`, text, "mine");
  session.messageInstantSend(peer, text, (failed) => {
    if (failed) {
      addNote("chat-lines", `Not sent to ${peer}: ${text}`);
    }
  });
  $("chat-text").value = "";
});

$("ask").addEventListener("click", () => {
  const account = $("peer").value;
  session.invoke("io.agora.signal.user_query_user_status", { account }, (error, answer) => {
    $("presence").value = error || (answer.status ? `${account} is online` : `${account} is offline`);
  });
});

$("peer").addEventListener("input", () => {
  $("presence").value = "";
});

// --- The channel ---

function join(name) {
  leftChannel();
  const mine = (channel = session.channelJoin(name));
  hear(mine, () => mine === channel, {
    onChannelJoined() {
      addNote("channel-lines", `You are in ${name}.`);
    },
    onChannelJoinFailed(reason) {
      addNote("channel-lines", `You are not in ${name}: ${reason}`);
      leftChannel();
    },
    onChannelLeaved() {
      addNote("channel-lines", `You have left ${name}.`);
      leftChannel();
    },
    onChannelUserList(users) {
      users.forEach(([account]) => members.add(account));
      showMembers();
    },
    onChannelUserJoined(account) {
      addNote("channel-lines", `${account} has joined.`);
      members.add(account);
      showMembers();
    },
    onChannelUserLeaved(account) {
      addNote("channel-lines", `${account} has left.`);
      members.delete(account);
      showMembers();
    },
    onChannelAttrUpdated(name, value, type) {
      if (type === "clear") {
        attributes.clear();
      } else if (type === "del") {
        attributes.delete(name);
      } else {
        attributes.set(name, value);
      }
      showAttributes();
    },
    onMessageChannelReceive(account, _uid, message) {
      // One's own messages come back: what is shown is what everybody sees, in the same order.
      addLine("channel-lines", account, message, account === session.account ? "mine" : "");
    },
  });
  enable();
}

function leftChannel() {
  channel = null;
  members.clear();
  attributes.clear();
  showMembers();
  showAttributes();
  enable();
}

function showMembers() {
  $("member-count").textContent = members.size;
  $("members").replaceChildren(...[...members].map((account) => element("li", account)));
}

function showAttributes() {
  $("attributes").replaceChildren(
    ...[...attributes].map(([name, value]) => {
      const row = element("div");
      row.append(element("dt", name), element("dd", text(value)));
      return row;
    }),
  );
}

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  join($("channel").value);
});

$("leave").addEventListener("click", () => channel.channelLeave());

$("attribute-form").addEventListener("submit", (event) => {
  event.preventDefault();
  channel.channelSetAttr($("attribute-name").value, $("attribute-value").value);
});

$("channel-form").addEventListener("submit", (event) => {
  event.preventDefault();
  channel.messageChannelSend($("channel-text").value);
  $("channel-text").value = "";
});

// --- Calls: one at a time ---

function dial(account, about) {
  take(session.channelInviteUser2(about, account));
  show("call-state", "waiting", `Calling ${account} …`);
}

// `received` becomes the page's call. An `extra` may hold what to `say`, and whom to call instead.
function take(received) {
  const mine = (call = received);
  const { peer, channelName } = mine;
  hear(mine, () => mine === call, {
    onInviteReceivedByPeer() {
      show("call-state", "ringing", `It rings at ${peer}.`);
    },
    onInviteAcceptedByPeer(extra) {
      addSaid(peer, extra);
      show("call-state", "talking", `${peer} has answered.`);
    },
    onInviteRefusedByPeer(extra) {
      addSaid(peer, extra);
      endCall(`${peer} refused.`);
    },
    onInviteFailed(reason) {
      endCall(`${peer} could not be reached${reason ? `: ${text(reason)}` : ""}.`);
    },
    onInviteEndByPeer(extra) {
      addSaid(peer, extra);
      endCall(`${peer} hung up.`);
      const { transfer } = decoded(extra);
      if (transfer) {
        dial(transfer, channelName);
      }
    },
    onInviteEndByMyself() {
      endCall("You hung up.");
    },
    onInviteMsg(extra) {
      const { msgtype, msgdata } = decoded(extra);
      if (msgtype === "dtmf") {
        addNote("call-lines", `${peer} dials ${msgdata}.`);
      } else {
        addSaid(peer, extra);
      }
    },
  });
}

function endCall(why) {
  call = null;
  show("call-state", "idle", why);
}

function addSaid(peer, extra) {
  const { say } = decoded(extra);
  if (say) {
    addLine("call-lines", peer, say);
  }
}

// What an `extra` holds; nothing where it is not the JSON of an object.
function decoded(extra) {
  try {
    return Object(typeof extra === "string" ? JSON.parse(extra) : extra);
  } catch {
    return {};
  }
}

$("call-form").addEventListener("submit", (event) => {
  event.preventDefault();
  dial($("callee").value, $("call-channel").value);
});

$("accept").addEventListener("click", () => {
  call.channelInviteAccept();
  show("call-state", "talking", `You talk with ${call.peer}.`);
});

$("refuse").addEventListener("click", () => {
  const { peer } = call;
  call.channelInviteRefuse();
  endCall(`You refused ${peer}.`);
});

$("hang-up").addEventListener("click", () => call.channelInviteEnd());

for (const key of KEYS) {
  const button = element("button", key);
  button.type = "button";
  button.className = "quiet";
  button.disabled = true;
  button.setAttribute("aria-label", `Dial ${{ "*": "star", "#": "hash" }[key] ?? key}`);
  button.addEventListener("click", () => {
    call.channelInviteDTMF(key);
    addNote("call-lines", `You dial ${key}.`);
  });
  $("keypad").append(button);
}

// --- What everything above stands on ---

// Give an object of the SDK its callbacks, each of which goes into the list of events, too. Once
// the object is not current any more, it is heard of there only.
function hear(object, isCurrent, callbacks) {
  for (const [name, callback] of Object.entries(callbacks)) {
    object[name] = (...args) => {
      const line = element("li");
      line.append(element("time", new Date().toLocaleTimeString()), `${name}(${args.map(text).join(", ")})`);
      append("log", line);
      if (isCurrent()) {
        callback(...args);
      }
    };
  }
}

// Messages and attributes can be any JSON value.
function text(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function element(tag, content = "") {
  const made = document.createElement(tag);
  made.textContent = content;
  return made;
}

function addLine(list, account, message, kind = "") {
  const line = element("li");
  line.className = kind;
  line.append(element("b", account), ` ${text(message)}`);
  append(list, line);
}

function addNote(list, note) {
  const line = element("li", note);
  line.className = "note";
  append(list, line);
}

function append(id, line) {
  const list = $(id);
  const follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
  list.append(line);
  if (list.childElementCount > MAX_LINES) {
    list.firstElementChild.remove();
  }
  // Somebody who reads further up is left there.
  if (follows) {
    list.scrollTop = list.scrollHeight;
  }
}

function show(id, state, words) {
  $(id).dataset.state = state;
  $(id).textContent = words;
  enable();
}

// Which buttons can be pressed follows from what there is.
function enable() {
  const phase = call && $("call-state").dataset.state;
  const set = (selector, isEnabled) =>
    document.querySelectorAll(selector).forEach((button) => (button.disabled = !isEnabled));
  set(".needs-login", isLoggedIn);
  set(".needs-channel", isLoggedIn && channel);
  set("#log-in", !session);
  set("#log-out", session);
  set("#call", isLoggedIn && !call);
  set("#accept, #refuse", phase === "called");
  set("#hang-up", call && phase !== "called");
  set("#keypad button", phase === "talking");
}

const query = new URLSearchParams(location.search);
$("server").value = query.get("server") ?? `${location.hostname || "127.0.0.1"}:${DEFAULT_PORT}`;
$("app").value = query.get("app") ?? $("app").value;
$("account").value = query.get("account") ?? `guest-${Math.floor(Math.random() * 9000) + 1000}`;

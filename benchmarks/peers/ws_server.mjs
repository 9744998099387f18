// Channels and point-to-point messages on Node's ws, with a small protocol of its own in JSON.
// Prints its port when it listens.

import { WebSocketServer } from "ws";
import { isTokenRight } from "./token.mjs";

const users = new Map();
const channels = new Map();

const handlers = {
  login(client, { account, token }) {
    if (!isTokenRight(account, token)) {
      client.close(1008, "wrong token");
      return;
    }
    client.account = account;
    users.set(account, client);
    client.send(JSON.stringify({ t: "in" }));
  },

  join(client, { channel }) {
    if (!channels.has(channel)) channels.set(channel, new Set());
    channels.get(channel).add(client);
    client.channel = channel;
    client.send(JSON.stringify({ t: "joined" }));
  },

  say(client, { id, channel, text }) {
    // Encoded once for all members.
    const data = Buffer.from(JSON.stringify({ t: "said", channel, from: client.account, text }));
    for (const member of channels.get(channel)) member.send(data, { binary: false });
    client.send(JSON.stringify({ t: "ack", id }));
  },

  tell(client, { id, to, text }) {
    users.get(to)?.send(JSON.stringify({ t: "told", from: client.account, text }));
    client.send(JSON.stringify({ t: "ack", id }));
  },
};

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });

server.on("connection", (client) => {
  client.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.t !== "login" && client.account === undefined) client.close(1008, "not logged in");
    else handlers[message.t]?.(client, message);
  });
  client.on("error", () => client.terminate());
  client.on("close", () => {
    if (users.get(client.account) === client) users.delete(client.account);
    channels.get(client.channel)?.delete(client);
  });
});

server.on("listening", () => console.log(`port ${server.address().port}`));

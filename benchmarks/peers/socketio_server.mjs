// Channels and point-to-point messages on Node's socket.io. Prints its port when it listens.

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { isTokenRight } from "./token.mjs";

// With several servers, an account is a room of its own, as its documentation has it.
const redis = process.env.REDIS_URL ? createClient({ url: process.env.REDIS_URL }) : null;
await redis?.connect();
const users = new Map();
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  pingInterval: Number(process.env.PING_SECONDS) * 1000,
  pingTimeout: 20000,
  ...(redis ? { adapter: createAdapter(redis) } : {}),
});

io.use((socket, next) => {
  const { account, token } = socket.handshake.auth;
  if (!isTokenRight(account, token)) {
    next(new Error("wrong token"));
    return;
  }
  socket.data.account = account;
  next();
});

io.on("connection", (socket) => {
  const { account } = socket.data;
  users.set(account, socket);
  if (redis) socket.join(`account ${account}`);

  socket.on("join", (channel, acknowledge) => {
    socket.join(channel);
    acknowledge("^|^=");
  });
  socket.on("say", (channel, text, acknowledge) => {
    io.to(channel).emit("said", channel, account, text);
    acknowledge("^|^=");
  });
  socket.on("tell", (to, text, acknowledge) => {
    const whom = redis ? io.to(`account ${to}`) : users.get(to);
    whom?.emit("told", account, text);
    acknowledge("^|^=");
  });
  socket.on("disconnect", () => {
    if (users.get(account) === socket) users.delete(account);
  });
});

http.listen(0, "127.0.0.1", () => console.log(`port ${http.address().port}`));

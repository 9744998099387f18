// Whether a login's token is right: 1:APP_ID:EXPIRY:MD5HEX(account + APP_ID + CERTIFICATE + EXPIRY).

import { createHash } from "node:crypto";

const { APP_ID, CERTIFICATE } = process.env;

export function isTokenRight(account, token) {
  const [version, app, expiry, digest] = String(token).split(":");
  const text = `${account}${APP_ID}${CERTIFICATE}${expiry}`;
  return (
    version === "1" &&
    app === APP_ID &&
    Number(expiry) > Date.now() / 1000 &&
    createHash("md5").update(text).digest("hex") === digest
  );
}

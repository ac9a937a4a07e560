// Sealed bodies in plain JavaScript, for mini-programs, which have no WebCrypto: the library `node-forge`.
// `jwk` is `data` of /api/v1/crypto/key; `random(n)` gives n random bytes as a binary string, in a mini-program from
// wx.getRandomValues. The part below the functions is for trying it in Node:
//
//   npm ci
//   echo '{"code":"…"}' | node forge.js http://127.0.0.1:9000 POST /api/v1/user/login
const forge = require('node-forge');

const b64u = (bytes) => forge.util.encode64(bytes).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const unb64u = (text) => forge.util.decode64(text.replace(/-/g, '+').replace(/_/g, '/').padEnd(Math.ceil(text.length / 4) * 4, '='));
const number = (text) => new forge.jsbn.BigInteger(forge.util.bytesToHex(unb64u(text)), 16);
const json = (value) => b64u(forge.util.encodeUtf8(JSON.stringify(value)));

// `token` is the access token that is sent with the body, if one is.
function seal(jwk, random, method, path, content, token) {
  const [cek, iv, jti] = [random(32), random(12), b64u(random(16))];
  const iat = Math.floor(Date.now() / 1000);
  const sha256 = () => forge.md.sha256.create();
  const ath = token && b64u(sha256().update(token).digest().getBytes());
  const header = json({ alg: 'RSA-OAEP-256', enc: 'A256GCM', kid: jwk.kid, iat, jti, htm: method, htu: path, ath, cty: 'json' });
  const rsa = forge.pki.setRsaPublicKey(number(jwk.n), number(jwk.e));
  const wrapped = rsa.encrypt(cek, 'RSA-OAEP', { md: sha256(), mgf1: { md: sha256() }, seed: random(32) });
  const cipher = forge.cipher.createCipher('AES-GCM', cek);
  cipher.start({ iv, additionalData: header, tagLength: 128 });
  cipher.update(forge.util.createBuffer(forge.util.encodeUtf8(JSON.stringify(content))));
  cipher.finish();
  const parts = [b64u(wrapped), b64u(iv), b64u(cipher.output.getBytes()), b64u(cipher.mode.tag.getBytes())];
  return { body: [header, ...parts].join('.'), cek, jti };
}

function open({ cek, jti }, answer) {
  const [header, , iv, ciphertext, tag] = answer.split('.');
  const { alg, enc, jti: answered } = JSON.parse(forge.util.decodeUtf8(unb64u(header)));
  if (alg !== 'dir' || enc !== 'A256GCM' || answered !== jti) throw new Error('not the answer to this request');
  const cipher = forge.cipher.createDecipher('AES-GCM', cek);
  cipher.start({ iv: unb64u(iv), additionalData: header, tagLength: 128, tag: forge.util.createBuffer(unb64u(tag)) });
  cipher.update(forge.util.createBuffer(unb64u(ciphertext)));
  if (!cipher.finish()) throw new Error('changed on the way');
  return JSON.parse(forge.util.decodeUtf8(cipher.output.getBytes()));
}

module.exports = { seal, open };

async function main(base, method, path) {
  const { randomBytes } = require('node:crypto');
  const { text } = require('node:stream/consumers');
  const jwk = (await (await fetch(`${base}/api/v1/crypto/key`)).json()).data;
  const random = (length) => randomBytes(length).toString('binary');
  const { TOKEN } = process.env;
  const sealed = seal(jwk, random, method, path, JSON.parse(await text(process.stdin)), TOKEN || undefined);
  const headers = { 'content-type': 'application/jose', ...(TOKEN && { authorization: `Bearer ${TOKEN}` }) };
  const response = await fetch(base + path, { method, headers, body: sealed.body });
  const answer = await response.text();
  const isSealed = response.headers.get('content-type') === 'application/jose';
  console.log(JSON.stringify({ status: response.status, body: isSealed ? open(sealed, answer) : JSON.parse(answer) }));
}

if (require.main === module) main(...process.argv.slice(2));

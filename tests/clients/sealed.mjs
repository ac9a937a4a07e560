// A sealed call from Node 20 or newer, with the JOSE library `jose`. The class runs in browsers as it is.
//
//   npm ci
//   echo '{"code":"…"}' | node sealed.mjs http://127.0.0.1:9000 POST /api/v1/user/login [ENC] [FORM]
//
// ENC: A256GCM (default) or A256CBC-HS512. FORM: compact (default) or json. Prints status and envelope.
import * as jose from 'jose';

export class SealedClient {
  constructor(base, enc = 'A256GCM', form = 'compact') {
    Object.assign(this, { base, enc, form });
  }

  /** The server's key. Keep it for as long as `Cache-Control` says. */
  async key() {
    this.jwk ??= (await (await fetch(`${this.base}/api/v1/crypto/key`)).json()).data;
    return this.jwk;
  }

  /** Calls `path` (with its query) and opens the answer. */
  async call(method, path, content, headers = {}) {
    const jwk = await this.key();
    const cek = crypto.getRandomValues(new Uint8Array(this.enc === 'A256GCM' ? 32 : 64));
    const jti = crypto.randomUUID();
    const header = { alg: 'RSA-OAEP-256', enc: this.enc, kid: jwk.kid, iat: Math.floor(Date.now() / 1000), jti, htm: method, htu: path };
    // Binds the body to the access token that is sent with it.
    const token = headers.authorization?.replace(/^Bearer /, '');
    if (token) header.ath = jose.base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))));
    const body = await this.seal(JSON.stringify(content), header, cek, await jose.importJWK(jwk, 'RSA-OAEP-256'));
    const type = this.form === 'compact' ? 'application/jose' : 'application/jose+json';
    const response = await fetch(this.base + path, { method, headers: { ...headers, 'content-type': type }, body });
    const text = await response.text();
    // Without a key there is nothing to seal with: such a refusal is plain JSON.
    if (response.headers.get('content-type') !== type) return { status: response.status, body: JSON.parse(text) };
    return { status: response.status, body: JSON.parse(await this.open(text, cek, jti)) };
  }

  async seal(content, header, cek, key) {
    const Encrypt = this.form === 'compact' ? jose.CompactEncrypt : jose.FlattenedEncrypt;
    const jwe = new Encrypt(new TextEncoder().encode(content)).setProtectedHeader(header).setContentEncryptionKey(cek);
    const sealed = await jwe.encrypt(key);
    return this.form === 'compact' ? sealed : JSON.stringify(sealed);
  }

  async open(text, cek, jti) {
    const options = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: [this.enc] };
    const { plaintext, protectedHeader } = this.form === 'compact'
      ? await jose.compactDecrypt(text, cek, options)
      : await jose.flattenedDecrypt(JSON.parse(text), cek, options);
    if (protectedHeader.jti !== jti) throw new Error('not the answer to this request');
    return new TextDecoder().decode(plaintext);
  }
}

if (globalThis.process?.argv[1]?.endsWith('sealed.mjs')) {
  const [base, method, path, enc, form] = process.argv.slice(2);
  const { text } = await import('node:stream/consumers');
  const content = JSON.parse(await text(process.stdin));
  const { TOKEN } = process.env;
  const headers = TOKEN ? { authorization: `Bearer ${TOKEN}` } : {};
  console.log(JSON.stringify(await new SealedClient(base, enc, form).call(method, path, content, headers)));
}

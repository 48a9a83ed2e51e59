// Calls Shopify's own library for Node. Each line on standard input is a JSON object, and each response
// is one line of JSON. The program ends when its standard input is closed, so it never runs longer than
// the test that started it.
//
// The library requires Node 22. This program uses only functions that also work on Node 20.
import { request as send } from 'node:http';
import { createInterface } from 'node:readline';

import '@shopify/shopify-api/adapters/web-api';
import { AuthScopes, LogSeverity, Session, ShopifyError, shopifyApi } from '@shopify/shopify-api';
import { setAbstractFetchFunc } from '@shopify/shopify-api/runtime';
import { getHmac } from '@shopify/shopify-api/test-helpers';
// The library's own dependency.
import { SignJWT } from 'jose';
// Not exported. `utils.validateHmac` uses this function to compute the expected signature.
import { generateLocalHmac } from './node_modules/@shopify/shopify-api/dist/esm/lib/utils/hmac-validator.mjs';

const HOST = 'app.example';

function library({ secret, client_id: apiKey = 'client-id', scopes }) {
  return shopifyApi({
    apiKey,
    apiSecretKey: secret,
    scopes,
    hostName: HOST,
    apiVersion: '2026-10',
    isEmbeddedApp: false,
    // Standard output contains responses only. The library also throws its refusals.
    logger: { level: LogSeverity.Error, log: () => {} },
    _logDisabledFutureFlags: false,
  });
}

/** What the library returns, or that it refused by throwing one of its own errors. */
async function outcome(work) {
  try {
    return { answer: await work() };
  } catch (error) {
    if (!(error instanceof ShopifyError)) throw error;
    const { response, body } = error;
    return {
      refusal: {
        kind: error.constructor.name,
        status: response?.code ?? response?.status ?? null,
        body: body ?? response?.body ?? null,
      },
    };
  }
}

/** Requests to a shop go to a simulator on this machine; the `Host` header says which shop. */
function reachSimulator(port) {
  setAbstractFetchFunc((url, { method = 'GET', headers, body } = {}) =>
    new Promise((resolve, reject) => {
      const { protocol, host, pathname, search } = new URL(url);
      if (protocol !== 'https:') throw new Error('the library does not use TLS');
      const options = {
        host: '127.0.0.1',
        port,
        method,
        path: pathname + search,
        headers: { ...Object.fromEntries(new Headers(headers)), host },
      };
      const request = send(options, async (answer) => {
        const chunks = [];
        for await (const chunk of answer) chunks.push(chunk);
        const init = { status: answer.statusCode, headers: answer.headers };
        resolve(new Response(Buffer.concat(chunks), init));
      });
      request.once('error', reject);
      request.end(body);
    }),
  );
}

const browser = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' };
const shown = (session) => ({
  shop: session.shop,
  state: session.state,
  online: session.isOnline,
  scope: session.scope,
  access_token: session.accessToken,
  expires: session.expires ? session.expires.getTime() / 1000 : null,
  refresh_token: session.refreshToken ?? null,
  refresh_token_expires: session.refreshTokenExpires ? session.refreshTokenExpires.getTime() / 1000 : null,
});

const questions = {
  async sign_query({ secret, parameters }) {
    const query = Object.fromEntries(parameters);
    return {
      hmac: await generateLocalHmac(library({ secret }).config)(query),
      // The library's order of keys, which depends on the locale.
      keys: Object.keys(query).sort((one, other) => one.localeCompare(other)),
    };
  },

  async check_query({ secret, query }) {
    // In the form that `auth.callback` reads.
    const parameters = Object.fromEntries(new URLSearchParams(query).entries());
    const { answer = false } = await outcome(() => library({ secret }).utils.validateHmac(parameters));
    return { accepted: answer };
  },

  async sign_webhook({ secret, body }) {
    return { hmac: getHmac(Buffer.from(body, 'base64'), secret) };
  },

  async check_webhook({ secret, method, headers, body }) {
    const rawRequest = new Request(`https://${HOST}/webhooks`, { method, headers });
    const rawBody = Buffer.from(body, 'base64').toString();
    const { valid, domain, topic, webhookId } = await library({ secret }).webhooks.validate({ rawBody, rawRequest });
    return { accepted: valid, domain, topic, webhook_id: webhookId };
  },

  async sign_proxy({ secret, parameters }) {
    // A repeated parameter is an array.
    const query = {};
    for (const [name, value] of parameters) {
      query[name] = name in query ? [query[name], value].flat() : value;
    }
    return { hmac: await generateLocalHmac(library({ secret }).config)(query, 'appProxy') };
  },

  async check_proxy({ secret, query }) {
    const parameters = new URLSearchParams(query);
    const validate = library({ secret }).utils.validateHmac;
    const { answer = false } = await outcome(() => validate(parameters, { signator: 'appProxy' }));
    return { accepted: answer };
  },

  async sign_session({ secret, claims }) {
    const key = new TextEncoder().encode(secret);
    return { token: await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(key) };
  },

  async check_session({ secret, token }) {
    const { answer } = await outcome(() => library({ secret }).session.decodeSessionToken(token));
    return { claims: answer ?? null };
  },

  async sanitize_hosts({ hosts }) {
    const { sanitizeHost } = library({ secret: 'unused' }).utils;
    const accepts = (host) => {
      try {
        return sanitizeHost(host) !== null;
      } catch {
        // The decoded text is no URL.
        return false;
      }
    };
    return { accepted: hosts.map(accepts) };
  },

  async sanitize_shops({ shops }) {
    const { sanitizeShop } = library({ secret: 'unused' }).utils;
    return { shops: shops.map((shop) => sanitizeShop(shop)) };
  },

  async scopes({ scopes }) {
    const read = new AuthScopes(scopes);
    return { compressed: read.toArray(), expanded: [...read.expandedScopes] };
  },

  async begin({ app, shop }) {
    const rawRequest = new Request(`https://${HOST}/auth`, { headers: browser });
    const answer = await library(app).auth.begin({ shop, callbackPath: '/callback', isOnline: false, rawRequest });
    const cookie = answer.headers.getSetCookie().map((it) => it.split(';')[0]).join('; ');
    return { location: answer.headers.get('location'), cookie };
  },

  async callback({ app, url, cookie }) {
    reachSimulator(app.port);
    const rawRequest = new Request(url, { headers: { ...browser, cookie } });
    return outcome(async () => shown((await library(app).auth.callback({ expiring: true, rawRequest })).session));
  },

  async refresh({ app, shop, refresh_token: refreshToken }) {
    reachSimulator(app.port);
    return outcome(async () => shown((await library(app).auth.refreshToken({ shop, refreshToken })).session));
  },

  async migrate({ app, shop, access_token: nonExpiringOfflineAccessToken }) {
    reachSimulator(app.port);
    const migrate = library(app).auth.migrateToExpiringToken;
    return outcome(async () => shown((await migrate({ shop, nonExpiringOfflineAccessToken })).session));
  },

  async graphql({ app, shop, access_token: accessToken, document, variables }) {
    reachSimulator(app.port);
    const session = new Session({ id: shop, shop, state: '', isOnline: false, accessToken });
    const client = new (library(app).clients.Graphql)({ session });
    return outcome(async () => {
      const { data, extensions, headers } = await client.request(document, { variables });
      return { data, extensions, headers };
    });
  },
};

let time;
const SystemDate = Date;
globalThis.Date = class extends SystemDate {
  constructor(...values) {
    super(...(values.length === 0 ? [currentTime()] : values));
  }

  static now() {
    return currentTime();
  }
};

function currentTime() {
  return time ?? SystemDate.now();
}

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, now, ...rest } = JSON.parse(line);
  // The library has no parameter for the time.
  if (now !== undefined) time = now * 1000;
  process.stdout.write(`${JSON.stringify(await questions[ask](rest))}\n`);
}
process.exit(0);

// A certified OpenID provider with strict rotation, with its login and consent pages.
//
// One line of JSON on standard input contains the configuration. One line of JSON on standard output
// contains the address. The program ends when its standard input is closed, so it never runs longer than
// the test that started it.
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider, { errors } from 'oidc-provider';

// Standard output contains only the ready line. The provider's warnings about development settings are
// suppressed; errors are still printed.
console.info = () => {};
console.warn = () => {};

const input = createInterface({ input: process.stdin });
input.once('close', () => process.exit(0));
const settings = JSON.parse(await new Promise((resolve) => input.once('line', resolve)));

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const minutes = (n) => n * 60;

const provider = new Provider(settings.issuer, {
  clients: [
    {
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: [settings.redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [privateKey.export({ format: 'jwk' })] },
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub'], profile: ['name'] },
  // By default, a confidential client keeps its refresh token for most of the lifetime, so the tests
  // could not reuse a replaced token.
  rotateRefreshToken: true,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, name: `Account ${id}` }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  ttl: {
    AccessToken: settings.access_token_seconds,
    AuthorizationCode: minutes(10),
    Grant: minutes(60),
    IdToken: minutes(10),
    Interaction: minutes(10),
    RefreshToken: minutes(60),
    Session: minutes(60),
  },
});
// A proxy in front of this server would terminate TLS.
provider.proxy = true;

for (const Model of [provider.AccessToken, provider.AuthorizationCode, provider.RefreshToken]) {
  const generate = Model.prototype.generateTokenId;
  // The tokens have a prefix, so that a search can find leaked tokens.
  Model.prototype.generateTokenId = function generateTokenId(...of) {
    return `${settings.secret_prefix}${generate.apply(this, of)}`;
  };
}

// The requests of each account, which the tests compare with their own records.
const ledger = new Map();
const owners = new Map();
function entry(account) {
  if (!ledger.has(account)) {
    ledger.set(account, {
      exchanges: { accepted: 0, refused: 0 },
      refreshes: { accepted: 0, refused: 0 },
      revocations: 0,
      newest_refresh_token: null,
    });
  }
  return ledger.get(account);
}
const digest = (text) => createHash('sha256').update(text).digest('hex');

provider.on('authorization_code.saved', (code) => owners.set(code.jti, code.accountId));
provider.on('refresh_token.saved', (token) => {
  owners.set(token.jti, token.accountId);
  entry(token.accountId).newest_refresh_token = digest(token.jti);
});

provider.use(async (ctx, next) => {
  await next();
  const { route, params } = ctx.oidc ?? {};
  if (route === 'token') {
    const refreshing = params?.grant_type === 'refresh_token';
    const spent = refreshing ? params.refresh_token : params?.code;
    const kind = refreshing ? 'refreshes' : 'exchanges';
    entry(owners.get(spent) ?? '')[kind][ctx.status === 200 ? 'accepted' : 'refused'] += 1;
  } else if (route === 'revocation' && ctx.status === 200) {
    entry(owners.get(params?.token) ?? '').revocations += 1;
  }
});

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
function page(response, status, body) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
  response.end(`<!doctype html><title>OpenID provider</title>${body}`);
}
function json(response, body) {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
async function form(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

/** The forms of login and consent, and what becomes of their answers. */
async function interact(request, response, action) {
  const details = await provider.interactionDetails(request, response);
  const { prompt, params, session } = details;
  if (request.method === 'GET') {
    const at = escaped(`/interaction/${details.uid}`);
    const field = prompt.name === 'login' ? '<input name="login">' : '';
    return page(
      response,
      200,
      `<form method="post" action="${at}/${escaped(prompt.name)}">${field}<button>Continue</button></form>`
        + `<form method="post" action="${at}/abort"><button>Cancel</button></form>`,
    );
  }
  if (action === 'abort') {
    const refusal = { error: 'access_denied', error_description: 'the person cancelled' };
    return provider.interactionFinished(request, response, refusal, { mergeWithLastSubmission: false });
  }
  if (action !== prompt.name) return page(response, 400, 'this form is not the one that was asked');
  if (action === 'login') {
    const accountId = (await form(request)).get('login');
    if (!accountId) return page(response, 400, 'a name is missing');
    return provider.interactionFinished(request, response, { login: { accountId } }, { mergeWithLastSubmission: false });
  }
  const grant = details.grantId
    ? await provider.Grant.find(details.grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  if (prompt.details.missingOIDCClaims) grant.addOIDCClaims(prompt.details.missingOIDCClaims);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

const handle = provider.callback();
const server = createServer((request, response) => {
  request.headers['x-forwarded-proto'] = 'https';
  const [, first, second, third] = request.url.split('?')[0].split('/');
  if (first === 'ledger') {
    json(response, entry(decodeURIComponent(second ?? '')));
  } else if (first === 'interaction' && second) {
    interact(request, response, third).catch((error) => {
      const known = error instanceof errors.OIDCProviderError;
      if (!known) console.error(error);
      page(response, known ? error.statusCode : 500, escaped(error.message));
    });
  } else {
    handle(request, response);
  }
});
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }));
});

// Libraries for Node that verify webhooks, asked over standard input: one JSON object a line, one
// line of JSON for each answer. It ends when its standard input ends.
//
// `{ library, secret, body, headers }` hands over a delivery; the answer comes once the library has
// accepted it, has refused it with another body, and has run long enough to be compiled.
// `{ library, times }` verifies that delivery so many times; the answer is what it took.
import { createInterface } from 'node:readline';

import { verify } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';

const WARM_UP_NANOSECONDS = 500_000_000n;
const WARM_UP_TIMES = 100;

// The body is given as text, which is the form that all three take without decoding it first. Each
// returns the verification of one delivery, which throws if it is not genuine.
const LIBRARIES = {
  stripe({ secret, body, headers }) {
    const header = headers['stripe-signature'];
    return () => Stripe.webhooks.constructEvent(body, header, secret);
  },
  // The same without reading the body as JSON afterwards.
  'stripe, the signature alone'({ secret, body, headers }) {
    const header = headers['stripe-signature'];
    const { signature, DEFAULT_TOLERANCE } = Stripe.webhooks;
    return () => signature.verifyHeader(body, header, secret, DEFAULT_TOLERANCE);
  },
  '@octokit/webhooks-methods'({ secret, body, headers }) {
    const header = headers['x-hub-signature-256'];
    return async () => {
      if (!(await verify(secret, body, header))) throw new Error('refused');
    };
  },
  standardwebhooks({ secret, body, headers }) {
    const webhook = new Webhook(secret, { format: 'raw' });
    // What the other side does not do either is left out where the library lets it be.
    return () => webhook.verify(body, headers, { jsonParse: false });
  },
};

async function isRefused(check) {
  try {
    await check();
    return false;
  } catch {
    return true;
  }
}

/** What `times` verifications take, in nanoseconds. Only what is a promise is waited for. */
async function taken(check, times) {
  const start = process.hrtime.bigint();
  for (let done = 0; done < times; done += 1) {
    const result = check();
    if (result instanceof Promise) await result;
  }
  return process.hrtime.bigint() - start;
}

const checks = new Map();

async function load({ library, ...delivery }) {
  const check = LIBRARIES[library](delivery);
  // Only the body differs, and it stays JSON: what refuses it is the signature.
  const forged = LIBRARIES[library]({ ...delivery, body: delivery.body.replace('x', 'y') });
  if (!(await isRefused(forged))) throw new Error('a forged delivery was accepted');
  for (let spent = 0n; spent < WARM_UP_NANOSECONDS; ) {
    spent += await taken(check, WARM_UP_TIMES);
  }
  checks.set(library, check);
  return {};
}

async function answer(question) {
  if (question.times === undefined) return load(question);
  return { nanoseconds: Number(await taken(checks.get(question.library), question.times)) };
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply;
  try {
    reply = await answer(JSON.parse(line));
  } catch (error) {
    reply = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

// Calls Notion's own library for JavaScript. Each line on standard input is a JSON object, and each
// response is one line of JSON. The program ends when its standard input is closed, so it never runs
// longer than the test that started it.
import { createInterface } from 'node:readline';
import { join } from 'node:path';

import * as notion from '@notionhq/client';
import ts from 'typescript';

const VERSION = '2026-03-11';
/** The complete form of each object. The library's response types also accept shorter forms. */
const COMPLETE = {
  block: 'BlockObjectResponse',
  comment: 'CommentObjectResponse',
  data_source: 'DataSourceObjectResponse',
  database: 'DatabaseObjectResponse',
  file_upload: 'FileUploadObjectResponse',
  page: 'PageObjectResponse',
  user: 'UserObjectResponse',
  view: 'DataSourceViewObjectResponse',
};

/** Creates a client. The simulator takes the provider's host from the first segment of the path. */
function client({ port, token }, options = {}) {
  return new notion.Client({
    auth: token,
    baseUrl: `http://127.0.0.1:${port}/api.notion.com`,
    notionVersion: VERSION,
    // Standard output contains responses only.
    logger: () => {},
    retry: { initialRetryDelayMs: 1 },
    ...options,
  });
}

/** Returns the function of the client with this name, for example `blocks.children.append`. */
const named = (client, method) => method.split('.').reduce((part, name) => part[name], client);

/** The file of an upload is text in a question. */
function prepared(args) {
  const { file } = args;
  return file ? { ...args, file: { ...file, data: new Blob([file.data]) } } : args;
}

/** Returns the response of the library, or that it refused by throwing one of its own errors. */
async function outcome(work) {
  try {
    return { answer: await work() };
  } catch (error) {
    if (!notion.isNotionClientError(error)) throw error;
    const { name, code, status = null, additional_data: data = null } = error;
    return { refusal: { name, code, status, data } };
  }
}

/** The expressions to check: a type, and a value that was received or sent. */
const recorded = [];

function record(method, { request_id: _, ...value }) {
  // The response types of the API do not list the member `request_id`, which every response has.
  // The types of writes do not list the task that a write can return.
  if (value.object === 'async_task') method = 'asyncTasks.retrieve';
  const of = `Client${method.split('.').map((name) => `["${name}"]`).join('')}`;
  recorded.push({ type: `Awaited<ReturnType<${of}>>`, value, what: method });
  for (const object of Array.isArray(value.results) ? value.results : [value]) {
    const type = COMPLETE[object.object];
    // A list of views and the results of a view contain references only.
    if (type && !method.startsWith('views.list') && !method.startsWith('views.queries')
      && method !== 'views.delete') {
      recorded.push({ type: `notion.${type}`, value: object, what: `${method}: ${object.object}` });
    }
  }
}

const questions = {
  async call({ app, method, args }) {
    return outcome(async () => {
      const answer = await named(client(app), method)(prepared(args));
      record(method, answer);
      return answer;
    });
  },

  /** Reads every page of a list with the library's own iteration. */
  async collect({ app, method, args }) {
    let pages = 0;
    return outcome(async () => {
      const items = await notion.collectPaginatedAPI(async (at) => {
        const page = await named(client(app), method)(at);
        record(method, page);
        pages += 1;
        return page;
      }, args);
      return { ids: items.map((it) => it.id), pages };
    });
  },

  /** Reads every row of a data source, past the limit of one query. */
  async all_rows({ app, args }) {
    return outcome(async () => {
      const rows = await notion.collectAllDataSourceRows(client(app), args);
      return rows.map((it) => it.id);
    });
  },

  /** Returns the request that the library sends for these arguments. Nothing is sent. */
  async request({ method, args }) {
    let sent;
    const fetch = async (url, { method: verb, headers, body }) => {
      const { pathname, searchParams } = new URL(url);
      const query = [...searchParams];
      sent = { verb, path: pathname, query, version: headers['Notion-Version'], body: body ?? null };
      return new Response('{}', { status: 200, headers: { 'content-type': 'application/json' } });
    };
    const client = new notion.Client({ auth: 'a-token', notionVersion: VERSION, fetch, logger: () => {} });
    await named(client, method)(args);
    const of = `Client${method.split('.').map((name) => `["${name}"]`).join('')}`;
    recorded.push({ type: `Parameters<${of}>[0]`, value: args, what: `${method}: arguments` });
    return sent;
  },

  async record({ method, value }) {
    record(method, value);
    return {};
  },

  /** Checks everything recorded since the last check against the library's own types. */
  async check_types() {
    const lines = recorded.map(({ type, value }, at) => `const v${at}: ${type} = ${JSON.stringify(value)};`);
    const head = 'import type * as notion from "@notionhq/client";\nimport type { Client } from "@notionhq/client";';
    const text = [...head.split('\n'), ...lines].join('\n');
    const path = join(import.meta.dirname ?? process.cwd(), 'recorded.mts');
    const options = {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: [],
    };
    const host = ts.createCompilerHost(options);
    const { getSourceFile, fileExists, readFile } = host;
    host.fileExists = (name) => name === path || fileExists(name);
    host.readFile = (name) => (name === path ? text : readFile(name));
    host.getSourceFile = (name, ...rest) =>
      name === path ? ts.createSourceFile(name, text, ...rest) : getSourceFile(name, ...rest);
    const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([path], options, host));
    const errors = diagnostics.map(({ file, start, messageText }) => {
      const line = file?.fileName === path ? file.getLineAndCharacterOfPosition(start).line : -1;
      const about = recorded[line - head.split('\n').length];
      const message = ts.flattenDiagnosticMessageText(messageText, ' ');
      return { what: about?.what ?? file?.fileName ?? '', message };
    });
    const checked = recorded.length;
    recorded.length = 0;
    return { checked, errors };
  },

  async sign_webhook({ token, body }) {
    return notion.signWebhookPayload({ body: Buffer.from(body, 'base64'), verificationToken: token });
  },

  async verify_webhook({ token, body, signature }) {
    return notion.verifyWebhookSignature({ body: Buffer.from(body, 'base64'), signature, verificationToken: token });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { ask, ...rest } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await questions[ask](rest))}\n`);
}
process.exit(0);

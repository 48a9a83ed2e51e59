// Receivers of webhooks, asked over standard input: one JSON object a line, one line of JSON for each
// answer. The program ends when its standard input ends.
import { createInterface } from "node:readline";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

const accepts = (work) => {
  try {
    return work() !== false;
  } catch {
    return false;
  }
};

let example;

const questions = {
  // The example of the documentation, as a module.
  load: async ({ source }) => {
    example = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);
    return typeof example.verify === "function";
  },
  verify: ({ secret, headers, body }) => {
    const raw = Buffer.from(body, "base64");
    return {
      example: accepts(() => example.verify(secret, headers, raw)),
      standardwebhooks: accepts(() => {
        new Standard(secret).verify(raw.toString(), headers, { jsonParse: false });
      }),
      svix: accepts(() => {
        new Svix(secret).verify(raw.toString(), headers, { jsonParse: false });
      }),
    };
  },
  sign: ({ secret, id, seconds, body }) => {
    const text = Buffer.from(body, "base64").toString();
    const at = new Date(seconds * 1000);
    return {
      standardwebhooks: new Standard(secret).sign(id, at, text),
      svix: new Svix(secret).sign(id, at, text),
    };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const question = JSON.parse(line);
  const answer = await questions[question.ask](question);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

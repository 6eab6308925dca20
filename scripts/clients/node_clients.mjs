// Five calls of one client library through the proxy: node node_clients.mjs NAME ADDRESS; prints a JSON object.
import { readFileSync } from "node:fs";

const [name, url] = process.argv.slice(2);
const question = "Which tea?", ask = [{ role: "user", content: question }], headers = { "X-Plus-User": "ann" };
const schema = { type: "object", properties: { tea: { type: "string" } }, required: ["tea"], additionalProperties: false };
const tool = { type: "function", function: { name: "brew", description: "Brew a tea.", parameters: schema } };
const format = { type: "json_schema", json_schema: { name: "choice", schema, strict: true } };

async function joined(pieces, text) {
  let found = "";
  for await (const piece of pieces) found += text(piece) ?? "";
  return found;
}

const clients = {
  async openai() {
    const { default: OpenAI } = await import("openai");
    const client = new OpenAI({ apiKey: "any", baseURL: url }), create = (more) =>
      client.chat.completions.create({ model: "m", messages: ask, user: "ann", ...more });
    return ["`user`", {
      plain: async () => (await create()).choices[0].message.content,
      stream: async () => joined(await create({ stream: true }), (p) => p.choices[0].delta.content),
      structured: async () => JSON.parse((await create({ response_format: format })).choices[0].message.content).tea,
      tools: async () => (await create({ tools: [tool] })).choices[0].message.tool_calls[0].function.name,
      embeddings: async () => (await client.embeddings.create({ model: "e", input: "tea", user: "ann" })).data[0].embedding.length,
    }];
  },
  async "@anthropic-ai/sdk"() {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const client = new Anthropic({ apiKey: "any", baseURL: url.replace(/\/v1$/, "") });
    const base = { model: "m", max_tokens: 50, messages: ask, metadata: { user_id: "ann" } };
    return ["`metadata.user_id`", {
      plain: async () => (await client.messages.create(base)).content[0].text,
      stream: async () => joined(client.messages.stream(base), (e) => e.delta?.text),
      structured: async () => JSON.parse((await client.messages.create({ ...base, output_config: { format: { type: "json_schema", schema } } })).content[0].text).tea,
      tools: async () => (await client.messages.create({ ...base, tools: [{ name: "brew", input_schema: schema }] })).content[0].name,
    }];
  },
  async "@ai-sdk/openai-compatible"() {
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    return sdk(createOpenAICompatible({ name: "plus", baseURL: url, apiKey: "any", headers, supportsStructuredOutputs: true }), "textEmbeddingModel");
  },
  async "@ai-sdk/openai"() {
    const { createOpenAI } = await import("@ai-sdk/openai");
    return sdk(createOpenAI({ baseURL: url, apiKey: "any", headers }), "textEmbeddingModel");
  },
};

async function sdk(provider, vectors) {
  const { generateText, streamText, generateObject, embed, tool: define, jsonSchema } = await import("ai");
  const base = { model: provider("m"), prompt: question };
  const brew = define({ description: "Brew a tea.", inputSchema: jsonSchema(schema) });
  return ["`headers`", {
    plain: async () => (await generateText(base)).text,
    stream: async () => joined(streamText(base).textStream, (p) => p),
    structured: async () => (await generateObject({ ...base, schema: jsonSchema(schema) })).object.tea,
    tools: async () => (await generateText({ ...base, tools: { brew } })).toolCalls[0].toolName,
    embeddings: async () => (await embed({ model: provider[vectors]("e"), value: "tea" })).embedding.length,
  }];
}

const [user, calls] = await clients[name](), found = {};
for (const [what, call] of Object.entries(calls)) {
  try { found[what] = await call(); } catch (error) { found[what] = `${error.name}: ${error.message}`; }
}
const at = new URL(`./node_modules/${name}/package.json`, import.meta.url);
console.log(JSON.stringify({ version: JSON.parse(readFileSync(at)).version, user, calls: found }));

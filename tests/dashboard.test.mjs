// The dashboard's module, with the hass objects of the demo plants that the Python test dumps: node --test, with the
// file in HASS_OBJECTS.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { generate, plantsOf } from "../custom_components/mtec/frontend/mtec-dashboard.js";

const dumps = JSON.parse(readFileSync(process.env.HASS_OBJECTS, "utf8"));
const LANGUAGES = ["en", "de", "fr", "it", "nl", "cs", "hu"];

/** Return a hass object whose websocket knows these answers. */
const hassOf = (dump, answers = {}, language = "en") => ({
  ...dump, locale: { language },
  callWS: async ({ type }) => {
    if (!(type in answers)) throw new Error("not_found");
    return answers[type];
  },
});

const cardsOf = (config) => config.views.flatMap(({ sections }) => sections.flatMap(({ cards }) => cards));

function* entitiesOf(value) {
  if (Array.isArray(value)) for (const each of value) yield* entitiesOf(each);
  else if (value && typeof value === "object") {
    if (typeof value.entity === "string") yield value.entity;
    for (const each of Object.values(value)) yield* entitiesOf(each);
  }
}

const pathsOf = (config) => config.views.map(({ path }) => path);

for (const [name, dump] of Object.entries(dumps)) {
  test(`${name}: every card's entity is there and of ours`, async () => {
    const config = await generate(hassOf(dump));
    assert.deepEqual(pathsOf(config), ["now", "today", "years", "inverter"]);
    const used = [...entitiesOf(config)];
    assert.ok(used.length > 10);
    for (const id of used) {
      assert.ok(dump.states[id], id);
      assert.equal(dump.entities[id].platform, "mtec");
    }
    assert.ok(!/undefined|NaN|null/.test(JSON.stringify(config)));
  });

  test(`${name}: all texts are there in seven languages`, async () => {
    const headings = [];
    for (const language of LANGUAGES) {
      const config = await generate(hassOf(dump, {}, language));
      headings.push(config.views.map(({ title }) => title).join());
      for (const card of cardsOf(config)) if (card.type === "heading") assert.ok(card.heading);
    }
    assert.equal(new Set(headings).size, LANGUAGES.length);
    const austrian = await generate(hassOf(dump, {}, "de-AT"));
    assert.equal(austrian.views[0].title, "Jetzt");
  });

  test(`${name}: entities are found whatever they are called`, async () => {
    const rename = (id) => id.replace(".", ".renamed_");
    const renamed = {
      devices: dump.devices,
      states: Object.fromEntries(Object.entries(dump.states).map(([id, state]) => [rename(id), state])),
      entities: Object.fromEntries(Object.entries(dump.entities).map(([id, entity]) =>
        [rename(id), { ...entity, entity_id: rename(id) }])),
    };
    const before = [...entitiesOf(await generate(hassOf(dump)))].map(rename).sort();
    assert.deepEqual([...entitiesOf(await generate(hassOf(renamed)))].sort(), before);
  });

  test(`${name}: what a plant lacks does not appear`, async () => {
    const entities = Object.fromEntries(Object.entries(dump.entities).filter(([id, { translation_key }]) =>
      !/battery|charge|backup|grid/.test(id + translation_key)));
    const text = JSON.stringify(await generate(hassOf({ ...dump, entities })));
    assert.ok(!/battery|Backup|grid_|tariff/i.test(text.replaceAll("grid_options", "")));
  });

  test(`${name}: an inverter's names are not cut off`, async () => {
    const { views } = await generate(hassOf(dump));
    const tiles = views.find(({ path }) => path === "inverter").sections.flatMap(({ cards }) => cards)
      .filter(({ type }) => type === "tile");
    assert.ok(tiles.length > 0);
    for (const { entity, grid_options } of tiles) {
      const own = dump.states[entity].attributes.friendly_name.slice(dump.devices[dump.entities[entity].device_id].name.length + 1);
      if (own.length > 15) assert.equal(grid_options?.columns, "full", own);
    }
  });

  test(`${name}: settings appear with the first control`, async () => {
    const inverter = plantsOf(hassOf(dump))[0].inverters[0].device;
    const id = "select.mode";
    const control = { entity_id: id, device_id: inverter.id, platform: "mtec", translation_key: "mode", entity_category: "config" };
    const config = await generate(hassOf({
      ...dump, entities: { ...dump.entities, [id]: control },
      states: { ...dump.states, [id]: { state: "general", attributes: { friendly_name: "Mode" } } },
    }));
    assert.equal(pathsOf(config).at(-1), "settings");
    assert.ok([...entitiesOf(config.views.at(-1))].includes(id));
  });

  test(`${name}: the Energy dashboard's powers are drawn, others are not`, async () => {
    const [rate] = Object.values(dump.entities).filter(({ translation_key }) => translation_key === "pv_power");
    const answer = (stat_rate) => ({
      "energy/get_prefs": { energy_sources: [{ type: "solar", stat_rate }] }, "energy/info": { cost_sensors: {} },
    });
    const types = async (answers) => cardsOf(await generate(hassOf(dump, answers))).map(({ type }) => type);
    assert.ok((await types(answer(rate.entity_id))).includes("power-sankey"));
    assert.ok(!(await types(answer("sensor.of_somebody_else"))).includes("power-sankey"));
    assert.ok(!(await types({})).includes("power-sankey"));
  });

  test(`${name}: last year appears once it is known`, async () => {
    const [pv] = Object.values(dump.entities).filter(({ translation_key }) => translation_key === "pv_energy_today");
    const year = new Date().getFullYear();
    const headings = async (start) => cardsOf(await generate(hassOf(dump, {
      "recorder/statistics_during_period": { [pv.entity_id]: [{ start: new Date(start, 5, 1).getTime(), change: 300 }] },
    }))).map(({ heading }) => heading);
    assert.ok((await headings(year)).includes("This year"));
    assert.ok(!(await headings(year)).includes("Last year"));
    assert.ok((await headings(year - 1)).includes("Last year"));
  });
}

test("without a plant there is a word instead of nothing", async () => {
  const config = await generate(hassOf({ devices: {}, entities: {}, states: {} }));
  assert.match(config.views[0].cards[0].content, /No plant/);
});

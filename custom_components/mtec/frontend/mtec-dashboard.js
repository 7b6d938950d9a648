// The dashboard of M-TEC plants: a strategy that builds its views from cards that Home Assistant ships.
// Entities are found by platform and translation key, so that a person may rename them.

const DOMAIN = "mtec";

const TEXTS = {
  en: {
    about: "Power, energies, years and inverters of all stations.",
    now: "Now", today: "Today", years: "Months and years", inverter: "Inverter", settings: "Settings",
    soFar: "Today so far", outage: "The grid is out", flow: "Power flow", power: "Power",
    costs: "Costs today", thisMonth: "This month", thisYear: "This year", lastYear: "Last year",
    byMonth: "Month by month", byDay: "The last 31 days", strings: "PV strings", phases: "Phases", backup: "Backup",
    battery: "Battery", state: "State", temperatures: "Temperatures", empty: "No plant has been read yet.",
    later: "Bars appear within an hour. *Import history* brings the years before.",
  },
  de: {
    about: "Leistung, Energien, Jahre und Wechselrichter aller Anlagen.",
    now: "Jetzt", today: "Heute", years: "Monate und Jahre", inverter: "Wechselrichter", settings: "Einstellungen",
    soFar: "Heute bisher", outage: "Das Netz ist ausgefallen", flow: "Energiefluss", power: "Leistung",
    costs: "Kosten heute", thisMonth: "Dieser Monat", thisYear: "Dieses Jahr", lastYear: "Letztes Jahr",
    byMonth: "Monat für Monat", byDay: "Die letzten 31 Tage", strings: "PV-Strings", phases: "Phasen", backup: "Notstrom",
    battery: "Batterie", state: "Zustand", temperatures: "Temperaturen", empty: "Noch wurde keine Anlage gelesen.",
    later: "Balken erscheinen binnen einer Stunde. *Verlauf importieren* holt die Jahre davor.",
  },
  fr: {
    about: "Puissance, énergies, années et onduleurs des installations.",
    now: "Maintenant", today: "Aujourd'hui", years: "Mois et années", inverter: "Onduleur", settings: "Réglages",
    soFar: "Aujourd'hui jusqu'ici", outage: "Le réseau est coupé", flow: "Flux d'énergie", power: "Puissance",
    costs: "Coûts du jour", thisMonth: "Ce mois-ci", thisYear: "Cette année", lastYear: "L'année dernière",
    byMonth: "Mois par mois", byDay: "Les 31 derniers jours", strings: "Chaînes PV", phases: "Phases", backup: "Secours",
    battery: "Batterie", state: "État", temperatures: "Températures", empty: "Aucune installation n'a encore été lue.",
    later: "Les barres apparaissent dans l'heure. *Importer l’historique* apporte les années d'avant.",
  },
  it: {
    about: "Potenza, energie, anni e inverter di tutti gli impianti.",
    now: "Adesso", today: "Oggi", years: "Mesi e anni", inverter: "Inverter", settings: "Impostazioni",
    soFar: "Oggi finora", outage: "La rete è interrotta", flow: "Flusso di energia", power: "Potenza",
    costs: "Costi di oggi", thisMonth: "Questo mese", thisYear: "Quest'anno", lastYear: "L'anno scorso",
    byMonth: "Mese per mese", byDay: "Gli ultimi 31 giorni", strings: "Stringhe FV", phases: "Fasi", backup: "Backup",
    battery: "Batteria", state: "Stato", temperatures: "Temperature", empty: "Nessun impianto è stato ancora letto.",
    later: "Le barre appaiono entro un'ora. *Importa lo storico* aggiunge gli anni precedenti.",
  },
  nl: {
    about: "Vermogen, energie, jaren en omvormers van alle installaties.",
    now: "Nu", today: "Vandaag", years: "Maanden en jaren", inverter: "Omvormer", settings: "Instellingen",
    soFar: "Vandaag tot nu toe", outage: "Het net is uitgevallen", flow: "Energiestroom", power: "Vermogen",
    costs: "Kosten vandaag", thisMonth: "Deze maand", thisYear: "Dit jaar", lastYear: "Vorig jaar",
    byMonth: "Maand voor maand", byDay: "De laatste 31 dagen", strings: "PV-strings", phases: "Fasen", backup: "Noodstroom",
    battery: "Batterij", state: "Toestand", temperatures: "Temperaturen", empty: "Er is nog geen installatie uitgelezen.",
    later: "Balken verschijnen binnen een uur. *Geschiedenis importeren* haalt de jaren ervoor op.",
  },
  cs: {
    about: "Výkon, energie, roky a střídače všech elektráren.",
    now: "Nyní", today: "Dnes", years: "Měsíce a roky", inverter: "Střídač", settings: "Nastavení",
    soFar: "Dnes dosud", outage: "Síť má výpadek", flow: "Tok energie", power: "Výkon",
    costs: "Náklady dnes", thisMonth: "Tento měsíc", thisYear: "Letos", lastYear: "Loni",
    byMonth: "Měsíc po měsíci", byDay: "Posledních 31 dní", strings: "FV stringy", phases: "Fáze", backup: "Záloha",
    battery: "Baterie", state: "Stav", temperatures: "Teploty", empty: "Zatím nebyla načtena žádná elektrárna.",
    later: "Sloupce se objeví do hodiny. *Importovat historii* doplní předchozí roky.",
  },
  hu: {
    about: "Teljesítmény, energia, évek és inverterek.",
    now: "Most", today: "Ma", years: "Hónapok és évek", inverter: "Inverter", settings: "Beállítások",
    soFar: "Ma eddig", outage: "A hálózat kimaradt", flow: "Energiaáramlás", power: "Teljesítmény",
    costs: "Mai költségek", thisMonth: "Ez a hónap", thisYear: "Idén", lastYear: "Tavaly",
    byMonth: "Hónapról hónapra", byDay: "Az utolsó 31 nap", strings: "PV-stringek", phases: "Fázisok", backup: "Tartalék",
    battery: "Akkumulátor", state: "Állapot", temperatures: "Hőmérsékletek", empty: "Még egyetlen erőmű sem lett beolvasva.",
    later: "Az oszlopok egy órán belül jelennek meg. Az *Előzmények importálása* elhozza a korábbi éveket.",
  },
};

/** Today, at the end of a name that may be in another language than the person's. */
const TODAY = new RegExp(`\\s+(${Object.values(TEXTS).map(({ today }) => today.replace("'", ".")).join("|")})$`, "i");
const POWERS = ["pv_power", "consumption_power", "grid_power", "battery_power"];
const ENERGIES = [
  "pv_energy_today", "consumption_today", "grid_import_today", "grid_export_today", "battery_charge_today",
  "battery_discharge_today",
];
const SHARES_TODAY = ["self_sufficiency_today", "self_consumption_today"];
const COLORS = {
  pv_power: "amber", consumption_power: "blue", grid_power: "indigo", battery_power: "green", backup_power: "teal",
  pv_energy_today: "amber", consumption_today: "blue", grid_import_today: "indigo", grid_export_today: "purple",
  battery_charge_today: "pink", battery_discharge_today: "green", self_sufficiency_today: "teal",
  self_consumption_today: "cyan", state_of_charge: "green",
};
/** What fits into half of a column. */
const LONGEST_NAME = 15;
const INVERTER_GROUPS = [
  ["state", ["work_status", "first_fault", "fault", "warning", "inverter_power", "grid_frequency", "source"]],
  ["battery", [
    "state_of_charge", "battery_power", "battery_voltage", "battery_current", "state_of_health", "battery_temperature",
    "battery_mode", "battery_fault", "battery_warning", "cell_voltage_highest", "cell_voltage_lowest",
    "cell_temperature_highest", "cell_temperature_lowest", "charge_current_limit", "discharge_current_limit",
  ]],
  ["strings", ["string_power", "string_voltage", "string_current"]],
  ["phases", ["phase_inverter_power", "phase_grid_power", "phase_voltage", "phase_current"]],
  ["backup", [
    "backup_power", "backup_phase_power", "backup_phase_voltage", "backup_phase_current", "backup_phase_frequency",
  ]],
  ["temperatures", ["inverter_temperature"]],
];

/** Return the person's texts, or English ones. */
const textsOf = (hass) => TEXTS[(hass.locale?.language ?? hass.language ?? "en").split("-")[0]] ?? TEXTS.en;

const nameOf = (device) => device.name_by_user || device.name || "M-TEC";

const fullName = (hass, id) => hass.states[id]?.attributes.friendly_name ?? id;

/** Show a card while an entity has a value. */
const whileKnown = (entity) => [{ condition: "state", entity, state_not: ["unknown", "unavailable"] }];

/** Return our devices, each with its visible entities. */
function devicesOf(hass) {
  const found = new Map();
  for (const entity of Object.values(hass.entities)) {
    const device = hass.devices[entity.device_id];
    if (entity.platform !== DOMAIN || !device || entity.hidden || !hass.states[entity.entity_id]) continue;
    if (!found.has(device.id)) found.set(device.id, { device, name: nameOf(device), entities: [] });
    found.get(device.id).entities.push(entity);
  }
  const collator = new Intl.Collator(undefined, { numeric: true });
  for (const each of found.values()) each.entities.sort((one, other) => collator.compare(fullName(hass, one.entity_id), fullName(hass, other.entity_id)));
  return [...found.values()].sort((one, other) => collator.compare(one.name, other.name));
}

/** Return the stations, and the inverters that have none, each with its inverters. */
export function plantsOf(hass) {
  const devices = devicesOf(hass);
  const known = new Set(devices.map(({ device }) => device.id));
  const above = ({ device }) => (known.has(device.via_device_id) ? device.via_device_id : null);
  return devices
    .filter((each) => above(each) === null)
    .map((plant) => {
      const below = devices.filter((each) => above(each) === plant.device.id);
      return { ...plant, inverters: plant.device.serial_number ? [plant] : below };
    });
}

/** Return the entities with these translation keys, in this order. */
const withKeys = (plant, keys) =>
  keys.flatMap((key) => plant.entities.filter(({ translation_key }) => translation_key === key));

const idsOf = (plant, keys) => withKeys(plant, keys).map(({ entity_id }) => entity_id);

const named = (entity, more) => ({ entity, name: { type: "entity" }, ...more });

const heading = (text, icon, style = "title") => ({ type: "heading", heading: text, icon, heading_style: style });

const only = (condition, ...cards) => (condition ? cards : []);

const withoutDevice = (name, device) => (name.startsWith(`${device} `) ? name.slice(device.length + 1) : name);

/** Return an entity's name without that of its device. */
const shortName = (hass, { entity_id, device_id }) =>
  withoutDevice(fullName(hass, entity_id), nameOf(hass.devices[device_id]));

const undated = (hass, entity) => shortName(hass, entity).replace(TODAY, "");

const full = (rows) => ({ columns: "full", rows });

function tile({ entity_id, translation_key }, more) {
  const color = COLORS[translation_key];
  return { type: "tile", ...named(entity_id, { ...(color && { color }), visibility: whileKnown(entity_id), ...more }) };
}

const history = (ids, hours, rows) => ({
  type: "history-graph", entities: ids.map((id) => named(id)), hours_to_show: hours, grid_options: full(rows),
});

const section = (cards, span = 1) => ({ type: "grid", cards, column_span: span });

const view = (title, path, icon, sections) => ({
  title, path, icon, type: "sections", max_columns: 3, dense_section_placement: true, sections: sections.filter(({ cards }) => cards.length > 1),
});

/** Return the sources and sensors of costs of the Energy dashboard, nothing if it is not set up. */
async function energyOf(hass) {
  try {
    const [preferences, info] = await Promise.all([
      hass.callWS({ type: "energy/get_prefs" }),
      hass.callWS({ type: "energy/info" }),
    ]);
    return { sources: preferences.energy_sources, costs: info.cost_sensors };
  } catch {
    return { sources: [], costs: {} };
  }
}

/** Return energies and costs of each month since last January, by entity. */
async function monthsOf(hass, plants, { costs }) {
  const ids = plants.flatMap((plant) => idsOf(plant, ENERGIES)).flatMap((id) => [id, ...only(costs[id], costs[id])]);
  if (!ids.length) return {};
  const start = new Date(new Date().getFullYear() - 1, 0, 1);
  try {
    return await hass.callWS({
      type: "recorder/statistics_during_period", start_time: start.toISOString(), statistic_ids: ids, period: "month",
      types: ["change"],
    });
  } catch {
    return {};
  }
}

/** Return the warnings while the grid is out. */
const outageBadges = (text, plants) =>
  plants.flatMap((plant) => idsOf(plant, ["grid_outage"]).map((entity) => ({
    type: "entity", entity, name: plants.length > 1 ? `${text.outage}: ${plant.name}` : text.outage, color: "red",
    icon: "mdi:transmission-tower-off", show_name: true, show_state: false,
    visibility: [{ condition: "state", entity, state: "on" }],
  })));

/** Return whether the Energy dashboard's cards can draw powers of any of these plants. */
function isDrawn(energy, plants) {
  const ours = new Set(plants.flatMap(({ entities }) => entities.map(({ entity_id }) => entity_id)));
  return energy.sources.some(({ stat_rate }) => ours.has(stat_rate));
}

function nowView(hass, text, plants, energy) {
  const curves = plants.length === 1 ? history(idsOf(plants[0], POWERS), 6, 6) : null;
  const flow = [
    heading(text.flow, "mdi:transit-connection-variant"),
    ...only(isDrawn(energy, plants), {
      type: "power-sankey", collection_key: "energy_mtec_now", grid_options: full(6),
    }),
    ...only(curves?.entities.length, curves),
  ];
  const sections = plants.map((plant) => {
    const today = withKeys(plant, [...ENERGIES, ...SHARES_TODAY, "backup_today"]);
    return section([
      heading(plant.name, "mdi:solar-power-variant"),
      ...withKeys(plant, [...POWERS, "backup_power"]).map((entity) => tile(entity)),
      ...withKeys(plant, ["state_of_charge"]).map((entity) =>
        tile(entity, { features: [{ type: "bar-gauge" }], grid_options: full(2) })),
      ...only(today.length, heading(text.soFar, "mdi:calendar-today", "subtitle")),
      ...today.map((entity) => tile(entity, { name: undated(hass, entity) })),
    ]);
  });
  return {
    ...view(text.now, "now", "mdi:home-lightning-bolt", [section(flow, plants.length > 1 ? 3 : 2), ...sections]), badges: outageBadges(text, plants),
  };
}

function todayView(hass, text, plants, energy, months) {
  const sections = plants.flatMap((plant) => {
    const powers = idsOf(plant, POWERS);
    const charge = idsOf(plant, ["state_of_charge"]);
    const costs = withKeys(plant, ENERGIES).map(({ entity_id }) => energy.costs[entity_id]).filter((id) => months[id]?.length);
    return [
      section([
        heading(plants.length > 1 ? `${plant.name}: ${text.power}` : text.power, "mdi:chart-line"),
        ...only(powers.length, history(powers, 24, 6)),
        ...only(charge.length, history(charge, 24, 4)),
      ], 2),
      section([
        heading(text.soFar, "mdi:lightning-bolt"),
        ...withKeys(plant, ENERGIES).map((entity) => tile(entity, { name: undated(hass, entity) })),
        ...idsOf(plant, SHARES_TODAY).map((id) => ({
          type: "gauge", entity: id, name: undated(hass, hass.entities[id]), min: 0, max: 100, visibility: whileKnown(id), grid_options: { columns: 6, rows: 3 },
        })),
        ...only(costs.length, heading(text.costs, "mdi:cash", "subtitle")),
        ...costs.map((id) => ({
          type: "statistic", entity: id, name: withoutDevice(fullName(hass, id), plant.name),
          stat_type: "change", period: { calendar: { period: "day" } }, grid_options: full(),
        })),
      ]),
    ];
  });
  return view(text.today, "today", "mdi:chart-bell-curve-cumulative", sections);
}

function yearsView(hass, text, plants, months) {
  const thisYear = new Date(new Date().getFullYear(), 0, 1).getTime();
  const sections = plants.flatMap((plant) => {
    const energies = withKeys(plant, ENERGIES);
    const known = energies.filter(({ entity_id }) => months[entity_id]?.length);
    const before = known.filter(({ entity_id }) => months[entity_id].some(({ start }) => start < thisYear));
    const title = (words) => (plants.length > 1 ? `${plant.name}: ${words}` : words);
    if (!energies.length) return [];
    if (!known.length) {
      return [section([heading(title(text.years), "mdi:chart-bar"), {
        type: "markdown", content: text.later, grid_options: full("auto"),
      }])];
    }
    const sums = (entities, period) => entities.map((entity) => ({
      type: "statistic", entity: entity.entity_id, name: undated(hass, entity), stat_type: "change", period: { calendar: period },
      grid_options: full(),
    }));
    const bars = (period, days, rows) => ({
      type: "statistics-graph", chart_type: "bar", period, days_to_show: days, stat_types: ["change"],
      entities: known.map((entity) => ({ entity: entity.entity_id, name: undated(hass, entity) })),
      grid_options: full(rows),
    });
    const shares = (period) => SHARES_TODAY.flatMap((key) =>
      withKeys(plant, [key.replace("today", period)]).map((entity) => tile(entity, {
        name: undated(hass, withKeys(plant, [key])[0] ?? entity), grid_options: full(1),
      })));
    return [
      section([
        heading(title(text.byMonth), "mdi:chart-bar"), bars("month", 730, 7),
        heading(text.byDay, "mdi:chart-bar"), bars("day", 31, 7),
      ], 2),
      section([heading(text.thisYear, "mdi:calendar-range"), ...sums(known, { period: "year" }), ...shares("this_year")]),
      section([heading(text.lastYear, "mdi:calendar-arrow-left"), ...sums(before, { period: "year", offset: -1 })]),
      section([heading(text.thisMonth, "mdi:calendar-month"), ...sums(known, { period: "month" }), ...shares("this_month")]),
    ];
  });
  return view(text.years, "years", "mdi:chart-bar", sections);
}

const inverterNames = (plants) =>
  plants.flatMap((plant) => plant.inverters.map((inverter) => ({
    ...inverter, title: plants.length > 1 && inverter.device !== plant.device ? `${plant.name}: ${inverter.name}` : inverter.name,
  })));

function inverterView(hass, text, plants) {
  const inverters = inverterNames(plants);
  const groups = (inverter, style) => INVERTER_GROUPS.map(([group, keys]) => {
    const found = withKeys(inverter, keys);
    const wide = found.some((entity) => shortName(hass, entity).length > LONGEST_NAME) && { grid_options: full(1) };
    return [heading(text[group], undefined, style), ...found.map((entity) => tile(entity, wide))];
  }).filter((cards) => cards.length > 1);
  const sections = inverters.length === 1
    ? groups(inverters[0]).map((cards) => section(cards))
    : inverters.map((inverter) => section([heading(inverter.title, "mdi:sine-wave"), ...groups(inverter, "subtitle").flat()]));
  return view(text.inverter, "inverter", "mdi:sine-wave", sections);
}

function settingsView(text, plants) {
  const isControl = ({ entity_category }) => entity_category === "config";
  const sections = inverterNames(plants).map((inverter) => section([
    heading(inverter.title, "mdi:tune"),
    ...inverter.entities.filter(isControl).map((entity) => tile(entity, { grid_options: full() })),
  ]));
  return view(text.settings, "settings", "mdi:tune", sections);
}

/** Return the configuration of the dashboard. */
export async function generate(hass) {
  const text = textsOf(hass);
  const plants = plantsOf(hass);
  if (!plants.length) return { views: [{ title: "M-TEC", cards: [{ type: "markdown", content: text.empty }] }] };
  const energy = await energyOf(hass);
  const months = await monthsOf(hass, plants, energy);
  const views = [
    nowView(hass, text, plants, energy), todayView(hass, text, plants, energy, months), yearsView(hass, text, plants, months),
    inverterView(hass, text, plants), settingsView(text, plants),
  ];
  return { title: "M-TEC", views: views.filter(({ sections }) => sections.length) };
}

function register() {
  const tag = `ll-strategy-dashboard-${DOMAIN}`;
  if (customElements.get(tag)) return;
  customElements.define(tag, class extends HTMLElement {
    static registryDependencies = ["entities", "devices"];

    static generate(config, hass) {
      return generate(hass);
    }
  });
}

// Node has no elements.
if (globalThis.customElements) {
  // The frontend replaces the registry of elements at its start.
  customElements.whenDefined("home-assistant").then(register);
  window.customStrategies = window.customStrategies ?? [];
  window.customStrategies.push({
    type: DOMAIN, strategyType: "dashboard", name: "M-TEC Energybutler",
    description: textsOf({ language: document.documentElement.lang || navigator.language }).about,
  });
}

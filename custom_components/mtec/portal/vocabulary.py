"""The words of the platform's own names and states, in lower case: a text of these alone is not private."""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


READINGS: Final = _words("""
    a ac accumulated active alarm all ambient and angle apparent arrow average
    b backup backupa backupb backupc battery batterycharge batterydischarge bms bms buy
    c capacity cell charge charging code column component consumption control cos cosphi curr current curve cycle cycles
    d daily data date day dc device direction discharge discharging duration
    e ebackup ebattery ebatterycharge ebatterydischarge ebuy ebuytotal eday eload eloaduse emeter emonth eneregy
    energies energy epv error esell eselltotal etotal etotalpv etotalloaduse eusetotal eyear export
    f factor fault feed fgrid field firmware flag flags flow freq frequency
    g generation generator graph grid
    h heat high hour hours
    i iac ibattery idc iec igrid import income index init input install installed instatlled insulation inverter invt
    ipv irradiance iso
    l label lack level lifetime limit load loaduse logger low
    m master max meter min minutes mode model module month mppt
    n node num number
    o odd off offline offset on online operating operation orgin orgion other outage output
    p pac pack page parallel path pbattery percent pf pgrid phase pload pmeter power ppv production pv
    q qac quality
    r rate rated ratio reactive reading records relay rssi run running
    s self sell set signal size soc soh sold source stamp standby start state station status stop storage string
    strings sum switch system
    t temp temperature tip time timestamp today top total totalbattery type types
    u unit update usage use used utility
    v vac value values vbattery vdc version vgrid voltage volt vpv
    w warn warning week wind work
    x y year yesterday yield z zone
""")
"""Words in the names of readings, with the platform's typos. A number under such a name is a reading."""

NEVER_ALONE: Final = _words("day field house lang mac max page post power price street wind")
"""Words that can also be names of people: alone they are not shown."""

STATES: Final = _words("""
    abnormal active alarm automatic battery charge charging check checking closed communication connected connecting
    connection day discharge discharging disconnected energy error failed failure fault faulty feed feeding firmware
    full generating grid idle initializing inverter isolation limited load lifetime lost low meter month night no normal
    not off offline ok on online open overload overtemperature overvoltage parallel permanent power powerflow protection
    ready recovering self shutdown sleep standby start starting station stop stopped success system test undervoltage
    unknown update updating upgrade upgrading waiting warning year running
""")
"""Words in the platform's texts for states and kinds."""

SCHEMA: Final = _words("""
    account addr address alias area array attr attribute attributes author auth avatar base birth birthday body build
    category children child city class client cloud color comment config configuration contact content coordinate
    coordinates copy count country county create created creator currency custom customer default delete deleted
    description desc detail details dict digest display district elevation email enable enabled end extra family fax
    file filter first flat geo gmt group groups home house icon id ids image img imei iccid info infos installer
    internet ip is item items key keys kind lang language last lat latitude layer line link list lists lng locale
    location login logo lon longitude mac mail manager manufacturer map measure measuring message mobile msg name names
    nickname node nodes note notes num number object offline option options or order org organization origin owner pages
    param params parent part parts password person phone photo picture plan plant plants point points port post postal
    postcode price product prop properties property protocol province raw read record region register remark result
    results role roles room row rows salt scale sensor sequence serial series server setting settings share show site
    sn sort ssid stations status street subtitle tab table tag tags tel telephone text timezone title token topic tree
    uid update updated url user users uuid vendor video visible watt watts wechat weather wifi write zip zipcode
""")
"""Words in the other names of an answer."""

MODELS: Final = _words(
    "mht eb gen energy butler energybutler kw kwh ktl sth stt sts stl svt hv lv hy hyb mt bt ph wr pv"
)
"""Words and letters in model names."""

// Which options of fields and which transformations there are: Grafana's application registers them, its libraries do not.

import {
  FieldConfigOptionsRegistry, identityOverrideProcessor, numberOverrideProcessor, standardFieldConfigEditorRegistry, standardTransformers,
  standardTransformersRegistry, stringOverrideProcessor, thresholdsOverrideProcessor, unitOverrideProcessor, valueMappingsOverrideProcessor,
} from "@grafana/data";

const option = (id, process, path = id) => ({
  id, path, name: id, process, isCustom: path !== id, settings: {}, shouldApply: () => true, override: () => null, editor: () => null,
});

const STANDARD = [
  option("unit", unitOverrideProcessor), option("decimals", numberOverrideProcessor), option("min", numberOverrideProcessor),
  option("max", numberOverrideProcessor), option("noValue", stringOverrideProcessor), option("color", identityOverrideProcessor),
  option("thresholds", thresholdsOverrideProcessor), option("mappings", valueMappingsOverrideProcessor),
];

/** Options of the panels of Grafana that draw them, as far as the dashboards use them. */
const CUSTOM = ["drawStyle", "lineWidth", "fillOpacity", "showPoints", "spanNulls", "stacking", "thresholdsStyle"];

export const OPTIONS = new FieldConfigOptionsRegistry(() => [
  ...STANDARD, ...CUSTOM.map((id) => option(`custom.${id}`, identityOverrideProcessor, id)),
]);

const transformation = (info) => ({
  id: info.id, name: info.name, transformation: () => Promise.resolve(info), editor: () => null, imageDark: "", imageLight: "",
});

export function register() {
  standardFieldConfigEditorRegistry.setInit(() => STANDARD);
  standardTransformersRegistry.setInit(() => [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map(transformation));
}

// What the editor does for RandomNumber: the button draws a number, and each run prepares the next one by the mode.
const LIMIT = 4294967296;
const next = (mode, value) => {
  switch (mode) {
    case "增加": return (value + 1) % LIMIT;
    case "减少": return (value - 1 + LIMIT) % LIMIT;
    case "随机": return crypto.getRandomValues(new Uint32Array(1))[0];
    default: return value;
  }
};

export default {
  onButtonClick({ inputKey, updateInputValue }) {
    if (inputKey === "reroll") updateInputValue("value", next("随机", 0));
  },
  onWorkflowExecuted({ getInputValue, updateInputValue }) {
    const mode = getInputValue("mode");
    if (mode !== "随机") updateInputValue("value", next(mode, Number(getInputValue("value")) || 0));
  },
};

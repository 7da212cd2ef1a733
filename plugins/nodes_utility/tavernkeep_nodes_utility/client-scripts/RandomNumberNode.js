// What the editor does for RandomNumber: the button draws a number, and before each execution the mode moves it. The node itself gives the
// same on the server: what is shown here is what it begins with.
const LIMIT = 2 ** 32;
const KEY = "value";

const moved = (mode, value) => {
  switch (mode) {
    case "增加": return (value + 1) % LIMIT;
    case "减少": return (value - 1 + LIMIT) % LIMIT;
    case "随机": return crypto.getRandomValues(new Uint32Array(1))[0];
    default: return value;
  }
};

const whole = (value) => {
  const number = Math.trunc(Number(value));
  return Number.isFinite(number) ? ((number % LIMIT) + LIMIT) % LIMIT : 0;
};

export function setupClientNode(vueFlow, node, context) {
  const show = (value) => {
    context.updateInputValue(KEY, value);
    context.setNodeOutputValue("number", value);
  };
  return {
    onButtonClick(inputKey) {
      if (inputKey === "reroll") show(moved("随机", 0));
    },
    onWorkflowExecute({ nodeId } = {}) {
      if (nodeId === undefined || nodeId === node.id) show(moved(context.getNodeInputValue("mode"), whole(context.getNodeInputValue(KEY))));
    },
  };
}

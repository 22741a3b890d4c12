// This package is CommonJS, whose default export a bundler gives to modules as a field of what they import.

import scrollbars from "../node_modules/react-custom-scrollbars-2/lib/index.js";

export const { Scrollbars } = scrollbars;
export default Scrollbars;

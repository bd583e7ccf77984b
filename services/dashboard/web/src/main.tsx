import "uplot/dist/uPlot.min.css";
import "./styles/theme.css";
import "./styles/page.css";
import "./styles/steer.css";

import { render } from "preact";

import { App } from "./app";
import { measureErrors, stats } from "./live/stats";
import { start } from "./live/store";
import { listenToKeys } from "./ui/keys";
import { prefetchViewer } from "./viewer/popup";

measureErrors();
window.__websim = { stats };
listenToKeys();
start();
prefetchViewer();
render(<App />, document.getElementById("app")!);

// The page: top bar, environments, curves, timeline; drawers and the pop-up above them.

import { ChartsPanel } from "./charts/charts";
import { GridPanel } from "./grid/grid";
import { link } from "./live/store";
import { Timeline } from "./timeline";
import { TopBar } from "./topbar";
import { Banner, Login, Trial } from "./ui/banner";
import { Drawer } from "./ui/drawer";
import { Keys } from "./ui/keys";
import { Notices } from "./ui/notices";
import { Popup } from "./viewer/popup";

export function App() {
  if (link.value === "login") return <Login />;
  return (
    <>
      <Banner />
      <TopBar />
      <Trial />
      <main class="main">
        <GridPanel />
        <ChartsPanel />
        <Timeline />
      </main>
      <Drawer />
      <Notices />
      <Popup />
      <Keys />
    </>
  );
}

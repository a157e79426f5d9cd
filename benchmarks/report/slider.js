for (const slider of document.querySelectorAll(".slider")) {
  const pairs = [...slider.querySelectorAll(".pair")];
  const buttons = [...slider.querySelectorAll(".picker button")];
  const inputs = [...slider.querySelectorAll("input")];
  const move = (value) => pairs.forEach((pair, index) => {
    inputs[index].value = value;
    pair.querySelector(".stage").style.setProperty("--at", value + "%");
  });
  inputs.forEach((input) => input.addEventListener("input", () => move(input.value)));
  buttons.forEach((button, chosen) => button.addEventListener("click", () => {
    pairs.forEach((pair, index) => pair.classList.toggle("away", index !== chosen));
    buttons.forEach((other, index) => other.setAttribute("aria-pressed", index === chosen));
  }));
  move(50);
}

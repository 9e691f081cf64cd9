// Enlarged: bilinear by the card's own filter, where that has true weights. Those of graphics cards have eight bits.
vec4 sampled(vec2 at) {
    return textureLod(frame, at / bounds, 0.0);
}

// Enlarged: bilinear between pixel centres.
vec4 sampled(vec2 at) {
    ivec2 last = ivec2(bounds) - 1;
    vec2 from_centre = at - 0.5;
    ivec2 low = ivec2(floor(from_centre));
    vec2 weight = from_centre - vec2(low);
    vec4 a = texelFetch(frame, clamp(low, ivec2(0), last), 0);
    vec4 b = texelFetch(frame, clamp(low + ivec2(1, 0), ivec2(0), last), 0);
    vec4 c = texelFetch(frame, clamp(low + ivec2(0, 1), ivec2(0), last), 0);
    vec4 d = texelFetch(frame, clamp(low + ivec2(1, 1), ivec2(0), last), 0);
    return mix(mix(a, b, weight.x), mix(c, d, weight.x), weight.y);
}

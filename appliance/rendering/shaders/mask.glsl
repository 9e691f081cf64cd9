// What lies over a region of a frame: the shutter hides the pixels whose centres it covers, overlays are white wherever one of
// their pixels lies under the pixel of the picture, so that thin lines do not vanish when it is shrunk.
//
// Spaces as in slice.glsl.
uniform sampler2D mask;         // 0 nothing, 1/255 covered, 2/255 drawn
uniform vec4 region;
uniform vec2 size;
uniform vec2 bounds;
uniform float cover;            // grey of the shutter
in vec2 place;
out vec4 painted;

void main() {
    vec2 at = region.xy + place * region.zw;
    if (any(lessThan(at, vec2(0.0))) || any(greaterThan(at, bounds))) {
        discard;
    }
    ivec2 last_texel = ivec2(bounds) - 1;
    vec2 reach = 0.5 * region.zw / size;
    ivec2 first = max(ivec2(floor(at - reach + 1e-4)), ivec2(0));
    ivec2 last = min(ivec2(ceil(at + reach - 1e-4)) - 1, last_texel);
    float found = texelFetch(mask, clamp(ivec2(floor(at)), ivec2(0), last_texel), 0).r * 255.0;
    for (int y = first.y; y <= last.y && found < 1.5; ++y) {
        for (int x = first.x; x <= last.x && found < 1.5; ++x) {
            found = max(found, step(1.5, texelFetch(mask, ivec2(x, y), 0).r * 255.0) * 2.0);
        }
    }
    if (found < 0.5) {
        discard;
    }
    painted = found < 1.5 ? vec4(vec3(cover), 1.0) : vec4(1.0);
}

// A region of a frame, resampled and then windowed.
//
// Enlarged: bilinear between pixel centres. Shrunk: the mean of the source pixels under each pixel, each by the area that is
// covered, so that nothing between two samples is lost and no grid beats with another. Values are averaged before the
// window, as the values of the patient, not after it.
//
// Source space is in source pixels: the centre of the first pixel lies at (0.5, 0.5).
uniform sampler2D frame;        // stored values as 0…1, or colours
uniform sampler2D table;        // 256x256: the grey of each of 65536 values
uniform vec4 region;            // x, y, width, height in source pixels
uniform vec2 size;              // of the picture, pixels
uniform vec2 bounds;            // columns and rows of the frame
uniform int is_exact;           // a source pixel for each pixel: no weights, whose rounding could change a value
uniform int filter_is_exact;    // the card's own interpolation has true weights; those of graphics cards have eight bits
uniform int is_colour;
uniform float is_inverted;      // of colour; grey is inverted by its table
in vec2 place;
out vec4 painted;

vec4 bilinear(vec2 at) {
    if (filter_is_exact == 1) {
        return textureLod(frame, at / bounds, 0.0);
    }
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

vec4 mean_under(vec2 low, vec2 high) {
    low = max(low, vec2(0.0));
    high = min(high, bounds);
    ivec2 first = ivec2(floor(low));
    ivec2 last = ivec2(ceil(high)) - 1;
    vec4 sum = vec4(0.0);
    float area = 0.0;
    for (int y = first.y; y <= last.y; ++y) {
        float part_y = min(high.y, float(y + 1)) - max(low.y, float(y));
        for (int x = first.x; x <= last.x; ++x) {
            float part = part_y * (min(high.x, float(x + 1)) - max(low.x, float(x)));
            sum += part * texelFetch(frame, ivec2(x, y), 0);
            area += part;
        }
    }
    return sum / max(area, 1e-9);
}

void main() {
    vec2 at = region.xy + place * region.zw;
    if (any(lessThan(at, vec2(0.0))) || any(greaterThan(at, bounds))) {
        painted = vec4(0.0, 0.0, 0.0, 1.0);
        return;
    }
    vec2 footprint = region.zw / size;
    vec4 value;
    if (is_exact == 1) {
        value = texelFetch(frame, ivec2(floor(at)), 0);
    } else if (max(footprint.x, footprint.y) > 1.0) {
        vec2 half_size = 0.5 * max(footprint, vec2(1.0));
        value = mean_under(at - half_size, at + half_size);
    } else {
        value = bilinear(at);
    }
    if (is_colour == 1) {
        painted = vec4(abs(value.rgb - is_inverted), 1.0);
    } else {
        int entry = int(value.r * 65535.0 + 0.5);
        painted = vec4(texelFetch(table, ivec2(entry & 255, entry >> 8), 0).r);
    }
}

// A region of a frame, resampled by "sampled" of another file and then windowed.
//
// Values are resampled before the window, as the values of the patient, not after it. There is a program for each way of
// sampling and no branch: software rasterisers go through every branch of a shader, taken or not.
//
// Source space is in source pixels: the centre of the first pixel lies at (0.5, 0.5).
uniform sampler2D frame;        // stored values as 0…1, or colours
uniform sampler2D table;        // 256x256: the grey of each of 65536 values
uniform vec4 region;            // x, y, width, height in source pixels
uniform vec2 size;              // of the picture, pixels
uniform vec2 bounds;            // columns and rows of the frame
uniform int is_colour;
uniform float is_inverted;      // of colour; grey is inverted by its table
in vec2 place;
out vec4 painted;

vec4 sampled(vec2 at);

void main() {
    vec2 at = region.xy + place * region.zw;
    vec4 value = sampled(at);
    if (is_colour == 1) {
        painted = vec4(abs(value.rgb - is_inverted), 1.0);
    } else {
        int entry = int(value.r * 65535.0 + 0.5);
        painted = vec4(texelFetch(table, ivec2(entry & 255, entry >> 8), 0).r);
    }
    if (any(lessThan(at, vec2(0.0))) || any(greaterThan(at, bounds))) {
        painted = vec4(0.0, 0.0, 0.0, 1.0);
    }
}

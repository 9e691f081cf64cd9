// Lit voxels one before another, from the eye on: colour and opacity by a transfer function, light by the gradient.
//
// Opacity in the table is already that of one step's true length. Each ray begins a part of a step later than its neighbours,
// by a pattern without visible grain, so that steps make no rings. It ends when nearly nothing more can shine through.
uniform sampler3D volume;
uniform sampler3D gradient;     // direction in the patient, steepness
uniform sampler3D away;         // of each block: how many blocks away is one of which the transfer function shows anything; 0 itself
uniform sampler2D colours;      // of the transfer function, from its first to its last value
uniform sampler2D opacity;      // of a step, likewise: by itself, since it is asked for far more often
uniform vec2 entries;           // a value of the texture, times the first and plus the second, is its place in both
uniform vec3 half_reach;        // the box's share of the gradient texture along x, y, z
uniform vec3 light;             // towards the light, in the patient
uniform vec3 eye;               // towards the eye, in the patient
uniform vec4 shine;             // ambient, diffuse, specular, exponent of the gloss
uniform float brightening;      // 1 / gamma
uniform vec2 picture_texels;    // size of the picture

const float OPAQUE = 0.98;
const float NOWHERE = -1e30;
const float LONGEST_RUN = 24.0;  // steps: a ray that ends in the first block has looked up the next ones in vain

// Interleaved gradient noise (Jimenez 2014): an even pattern of offsets, 0…1.
float offset_of_ray() {
    vec2 pixel = floor(place * picture_texels);
    return fract(52.9829189 * fract(dot(pixel, vec2(0.06711056, 0.00583715))));
}

vec3 lit(vec3 colour, vec3 position) {
    vec4 slope = textureLod(gradient, position * half_reach, 0.0);
    float bend = length(slope.xyz);
    vec3 normal = -slope.xyz / max(bend, 1e-4);
    float facing = abs(dot(normal, light));  // both sides of a thin wall are lit
    float gloss = pow(abs(dot(normal, normalize(light + eye))), shine.w);
    // Where there is no surface there is no side to light: noise must not sparkle.
    float surface = smoothstep(0.02, 0.15, slope.w) * smoothstep(0.1, 0.5, bend);
    float diffuse = mix(0.6, facing, surface);
    return colour * (shine.x + shine.y * diffuse) + vec3(shine.z * gloss * surface);
}

float entry_at(vec3 position) {
    return textureLod(volume, position * reach, 0.0).r * entries.x + entries.y;
}

float opacity_of(float entry) {
    return textureLod(opacity, vec2(entry, 0.5), 0.0).r;
}

// What is seen so far, and one sample behind it; nothing more where that is opaque already.
vec4 with_sample(vec4 seen, float dense, float entry, vec3 position) {
    float part = seen.a <= OPAQUE ? (1.0 - seen.a) * dense : 0.0;
    return seen + vec4(part * lit(textureLod(colours, vec2(entry, 0.5), 0.0).rgb, position), part);
}

// Two loops within one, and none in an "if": rasterisers that go through both branches of an "if" leave a loop when no ray is
// in it any more. So the dear part, light, is reckoned once for each two samples of which one shows, and not for each sample.
// Occupied blocks one after the other are gone through in one run, since rays beside one another wait for the last of them at
// each end of a loop. Loops ask at their ends whether to go on, for a loop that asks at its beginning goes once more through all
// of it in vain; and each time a ray that is done keeps what it has by name, for the first pass is also that of a ray that has
// nothing to do in it.
void main() {
    vec3 start = begun();
    start += offset_of_ray() * ahead;
    vec2 inside = steps_inside(start);
    vec4 seen = vec4(0.0);
    float i = ceil(inside.x);
    float until = NOWHERE;  // last step of the run of occupied blocks that the ray is in: none yet, also for a ray beside the box
    do {
        // Not a ray beside the box: of one that runs along it "inside" is so large that a step more is the same number.
        bool is_sought = i > until && i <= inside.y;
        do {
            bool is_begun = until >= i;
            float at = is_begun ? floor(until) + 1.0 : i;
            vec3 block = block_at(start + at * ahead);
            float blocks_away = textureLod(away, (block + 0.5) / block_texels, 0.0).r * 255.0;
            bool is_occupied = blocks_away < 0.5;
            float last = min(inside.y, last_among_blocks(start, block, max(blocks_away, 1.0), at));
            until = is_sought && is_occupied ? last : until;
            i = is_sought && !is_occupied && !is_begun ? floor(last) + 1.0 : i;
            bool is_over = is_occupied ? until >= inside.y || until - i >= LONGEST_RUN : is_begun;
            is_sought = is_sought && !is_over && i <= inside.y;
        } while (is_sought);
        vec2 dense = vec2(0.0);  // of two neighbouring samples, the first of which that show
        vec2 entry = vec2(0.0);
        do {
            bool is_on = dense == vec2(0.0) && i <= until;
            vec2 entry_here = vec2(entry_at(start + i * ahead), entry_at(start + (i + 1.0) * ahead));
            vec2 dense_here = vec2(opacity_of(entry_here.x), i + 1.0 <= inside.y ? opacity_of(entry_here.y) : 0.0);
            dense = is_on ? dense_here : dense;
            entry = is_on ? entry_here : entry;
            i = is_on ? i + 2.0 : i;
        } while (dense == vec2(0.0) && i <= until);
        seen = with_sample(seen, dense.x, entry.x, start + (i - 2.0) * ahead);
        seen = with_sample(seen, dense.y, entry.y, start + (i - 1.0) * ahead);
    } while (i <= inside.y && seen.a <= OPAQUE);
    // What is left of a ray that ended early would look like what it saw so far.
    vec3 colour = clamp(seen.rgb / (seen.a > OPAQUE ? seen.a : 1.0), 0.0, 1.0);
    painted = vec4(pow(colour, vec3(brightening)), 1.0);
}

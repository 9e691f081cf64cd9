// Lit voxels one before another, from the eye on: colour and opacity by a transfer function, light by the gradient.
//
// Opacity in the table is already that of one step's true length. Each ray begins a part of a step later than its neighbours,
// by a pattern without visible grain, so that steps make no rings. It ends when nearly nothing more can shine through.
uniform sampler3D volume;
uniform sampler3D gradient;     // direction in the patient, steepness
uniform sampler3D away;         // of each block: how many blocks away is one of which the transfer function shows anything; 0 itself
uniform sampler2D transfer;     // colour and opacity of a step, over "range"
uniform vec2 range;             // of the transfer function, in 0…1 of the texture's range
uniform vec3 half_reach;        // the box's share of the gradient texture along x, y, z
uniform vec3 light;             // towards the light, in the patient
uniform vec3 eye;               // towards the eye, in the patient
uniform vec4 shine;             // ambient, diffuse, specular, exponent of the gloss
uniform float brightening;      // 1 / gamma
uniform vec2 picture_texels;    // size of the picture

const float OPAQUE = 0.98;
const float ENTRIES = 4096.0;

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

vec4 colour_at(vec3 position) {
    float scale = 1.0 / max(range.y - range.x, 1e-9);
    float value = clamp((textureLod(volume, position * reach, 0.0).r - range.x) * scale, 0.0, 1.0);
    return texelFetch(transfer, ivec2(int(value * (ENTRIES - 1.0) + 0.5), 0), 0);
}

// Three loops within one, and none in an "if": rasterisers that go through both branches of an "if" leave a loop when no ray is
// in it any more. So the dear part, light, is reckoned once for each sample that shows, and not for each sample.
void main() {
    vec3 start = begun();
    start += offset_of_ray() * ahead;
    vec2 inside = steps_inside(start);
    vec4 seen = vec4(0.0);
    float i = ceil(inside.x);
    float until = i - 1.0;  // last step of the occupied block that the ray is in
    while (i <= inside.y && seen.a <= OPAQUE) {
        while (i > until && i <= inside.y) {
            vec3 block = block_at(start + i * ahead);
            float blocks_away = texelFetch(away, ivec3(block), 0).r * 255.0;
            bool is_occupied = blocks_away < 0.5;
            float last = min(inside.y, last_among_blocks(start, block, max(blocks_away, 1.0), i));
            until = is_occupied ? last : until;
            i = is_occupied ? i : floor(last) + 1.0;
        }
        vec4 colour = vec4(0.0);
        vec3 position = start;
        while (i <= until && colour.a == 0.0) {
            position = start + i * ahead;
            colour = colour_at(position);
            i += 1.0;
        }
        float part = (1.0 - seen.a) * colour.a;
        seen += vec4(part * lit(colour.rgb, position), part);
    }
    // What is left of a ray that ended early would look like what it saw so far.
    vec3 colour = clamp(seen.rgb / (seen.a > OPAQUE ? seen.a : 1.0), 0.0, 1.0);
    painted = vec4(pow(colour, vec3(brightening)), 1.0);
}

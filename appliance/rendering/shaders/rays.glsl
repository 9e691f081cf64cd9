// What all rays share. Rays run through texture space, where the volume is the box from 0 to 1: x along columns, y along
// rows, z along slices. A ray is "start + i * ahead" for whole steps i. With parallel rays "ahead" is the same for all; with
// perspective it is made for each, of the same length in the patient.
uniform vec3 origin;       // of the picture's first corner, at step 0
uniform vec3 across;       // from the first corner to the right edge
uniform vec3 down;         // from the first corner to the lower edge
uniform vec3 parallel;     // one step of parallel rays
uniform vec3 viewpoint;    // of perspective: where the rays meet
uniform vec3 perspective;  // width and height of the picture and distance of its plane in steps; 0 where rays are parallel
uniform vec2 steps;        // first and last step that belong to the picture
uniform vec3 clip_x;       // rows of the matrix to clip space, where the box that may be seen is that from 0 to 1
uniform vec3 clip_y;
uniform vec3 clip_z;
uniform vec3 clip_corner;  // the corner of texture space, in it
uniform vec3 blocks_in_volume;  // blocks along x, y, z that the box holds, the last perhaps in part
uniform vec3 block_side;        // of a block in the box: the inverse of that
uniform vec3 reach;        // the box's share of the volume texture along x, y, z: 1 but for an odd side that was halved
uniform vec3 block_texels;      // texels of the block texture along x, y, z
in vec2 place;
out vec4 painted;

vec3 ahead;
vec3 inverse;              // of "ahead", never infinite

// The ray of this pixel begins; its step 0 lies in the plane of what is looked at.
vec3 begun() {
    vec3 start = origin + place.x * across + place.y * down;
    ahead = parallel;
    if (perspective.z > 0.0) {
        vec3 aside = vec3((place - 0.5) * perspective.xy, perspective.z);
        ahead = (start - viewpoint) / length(aside);
    }
    inverse = 1.0 / mix(ahead, vec3(1e-12), lessThan(abs(ahead), vec3(1e-12)));
    return start;
}

// First and last step between 0 and 1.
vec2 steps_between(float start, float ahead_along) {
    float along = abs(ahead_along) < 1e-12 ? 1e-12 : ahead_along;
    float a = -start / along;
    float b = (1.0 - start) / along;
    return vec2(min(a, b), max(a, b));
}

vec2 both(vec2 some, vec2 others) {
    return vec2(max(some.x, others.x), min(some.y, others.y));
}

// First and last step inside the box; none where the first is larger.
vec2 steps_inside(vec3 start) {
    vec3 a = (vec3(0.0) - start) * inverse;
    vec3 b = (vec3(1.0) - start) * inverse;
    vec3 enter = min(a, b);
    vec3 leave = max(a, b);
    vec2 inside = vec2(max(enter.x, max(enter.y, enter.z)), min(leave.x, min(leave.y, leave.z)));
    inside = both(inside, steps_between(dot(clip_x, start) + clip_corner.x, dot(clip_x, ahead)));
    inside = both(inside, steps_between(dot(clip_y, start) + clip_corner.y, dot(clip_y, ahead)));
    inside = both(inside, steps_between(dot(clip_z, start) + clip_corner.z, dot(clip_z, ahead)));
    inside = both(inside, steps);
    if (perspective.z > 0.0) {
        inside.x = max(inside.x, -length(vec3((place - 0.5) * perspective.xy, perspective.z)));
    }
    return inside;
}

vec3 block_at(vec3 position) {
    return clamp(floor(position * blocks_in_volume), vec3(0.0), block_texels - 1.0);
}

// The last step before the ray leaves the block and those less than so many blocks away from it, not before step i.
float last_among_blocks(vec3 start, vec3 block, float blocks_away, float i) {
    vec3 border = (block + mix(vec3(1.0 - blocks_away), vec3(blocks_away), step(vec3(0.0), inverse))) * block_side;
    vec3 leave = (border - start) * inverse;
    return max(i, floor(min(leave.x, min(leave.y, leave.z))));
}

float last_in_block(vec3 start, vec3 block, float i) {
    return last_among_blocks(start, block, 1.0, i);
}

// The first step after the ray entered the block, not after step i.
float first_in_block(vec3 start, vec3 block, float i) {
    vec3 border = (block + step(inverse, vec3(0.0))) * block_side;
    vec3 enter = (border - start) * inverse;
    return min(i, ceil(max(enter.x, max(enter.y, enter.z))));
}

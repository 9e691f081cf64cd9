// What all rays share. Rays are parallel and run through texture space, where the volume is the box from 0 to 1: x along
// columns, y along rows, z along slices. A ray is "start + i * ahead" for whole steps i, the same for neighbouring rays.
uniform vec3 origin;       // of the picture's first corner, at step 0
uniform vec3 across;       // from the first corner to the right edge
uniform vec3 down;         // from the first corner to the lower edge
uniform vec3 ahead;        // one step
uniform vec3 inverse;      // of "ahead", never infinite
uniform vec2 steps;        // first and last step that belong to the picture
uniform vec3 blocks_in_volume;  // blocks along x, y, z that the box holds, the last perhaps in part
uniform vec3 block_side;        // of a block in the box: the inverse of that
uniform vec3 reach;        // the box's share of the volume texture along x, y, z: 1 but for an odd side that was halved
uniform vec3 block_texels;      // texels of the block texture along x, y, z
in vec2 place;
out vec4 painted;

// First and last step inside the box; none where the first is larger.
vec2 steps_inside(vec3 start) {
    vec3 a = (vec3(0.0) - start) * inverse;
    vec3 b = (vec3(1.0) - start) * inverse;
    vec3 enter = min(a, b);
    vec3 leave = max(a, b);
    return vec2(max(steps.x, max(enter.x, max(enter.y, enter.z))), min(steps.y, min(leave.x, min(leave.y, leave.z))));
}

vec3 block_at(vec3 position) {
    return clamp(floor(position * blocks_in_volume), vec3(0.0), block_texels - 1.0);
}

// The last step before the ray leaves the block, not before step i.
float last_in_block(vec3 start, vec3 block, float i) {
    vec3 border = (block + step(vec3(0.0), inverse)) * block_side;
    vec3 leave = (border - start) * inverse;
    return max(i, floor(min(leave.x, min(leave.y, leave.z))));
}

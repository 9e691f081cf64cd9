// The largest value along the ray, sought from the lower end of the window on and no further than the upper one: what lies beyond changes
// nothing in the picture. Blocks that cannot raise it are skipped whole.
uniform sampler3D blocks;       // least and largest of each block
uniform vec2 ends;              // of the window, in 0…1 of the texture's range

float along(vec3 start, vec2 inside) {
    float first = ceil(inside.x);
    // The block that may hold the most is gone through first: after it most others cannot raise what was found.
    vec3 promising = vec3(0.0, first, first - 1.0);  // its largest, its first step, its last
    for (float i = first; i <= inside.y;) {
        vec3 block = block_at(start + i * ahead);
        float until = min(inside.y, last_in_block(start, block, i));
        float largest = texelFetch(blocks, ivec3(block), 0).g;
        promising = largest > promising.x ? vec3(largest, i, until) : promising;
        i = floor(until) + 1.0;
    }
    float best = ends.x;
    for (float i = promising.y; i <= promising.z && best < promising.x; i += 1.0) {
        best = max(best, textureLod(volume, (start + i * ahead) * reach, 0.0).r);
    }
    float until = first - 1.0;  // last step of a block that may raise it
    for (float i = first; i <= inside.y && best < ends.y;) {
        while (i > until && i <= inside.y) {
            vec3 block = block_at(start + i * ahead);
            float last = min(inside.y, last_in_block(start, block, i));
            bool may_raise = texelFetch(blocks, ivec3(block), 0).g > best && i != promising.y;
            until = may_raise ? last : until;
            i = may_raise ? i : floor(last) + 1.0;
        }
        for (; i <= until; i += 1.0) {
            best = max(best, textureLod(volume, (start + i * ahead) * reach, 0.0).r);
        }
    }
    return best;
}

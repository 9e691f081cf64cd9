// The least value along the ray, sought from the upper end of the window on and no further than the lower one: what lies beyond changes
// nothing in the picture. Blocks that cannot lower it are skipped whole.
uniform sampler3D blocks;       // least and largest of each block
uniform vec2 ends;              // of the window, in 0…1 of the texture's range

float along(vec3 start, vec2 inside) {
    float best = ends.y;
    float i = ceil(inside.x);
    while (i <= inside.y) {
        vec3 block = block_at(start + i * ahead);
        float until = min(inside.y, last_in_block(start, block, i));
        if (texelFetch(blocks, ivec3(block), 0).r < best) {
            for (; i <= until; i += 1.0) {
                best = min(best, textureLod(volume, (start + i * ahead) * reach, 0.0).r);
            }
            if (best <= ends.x) {
                break;
            }
        } else {
            i = floor(until) + 1.0;
        }
    }
    return best;
}

// The largest value along the ray, sought from the lower end of the window on and no further than the upper one: what lies beyond changes
// nothing in the picture. Blocks at either end of the ray that hold nothing above the lower one are left out whole. Between them every
// step is looked at, four at a time: noise keeps nearly every block alive, and walking from block to block costs more than it saves.
uniform sampler3D blocks;       // least and largest of each block
uniform vec2 ends;              // of the window, in 0…1 of the texture's range

float value_at(vec3 start, float i) {
    return textureLod(volume, (start + i * ahead) * reach, 0.0).r;
}

float along(vec3 start, vec2 inside) {
    float i = ceil(inside.x);
    float last = floor(inside.y);
    bool is_dark = true;
    while (is_dark && i <= last) {
        vec3 block = block_at(start + i * ahead);
        is_dark = texelFetch(blocks, ivec3(block), 0).g <= ends.x;
        i = is_dark ? last_in_block(start, block, i) + 1.0 : i;
    }
    is_dark = true;
    while (is_dark && i <= last) {
        vec3 block = block_at(start + last * ahead);
        is_dark = texelFetch(blocks, ivec3(block), 0).g <= ends.x;
        last = is_dark ? first_in_block(start, block, last) - 1.0 : last;
    }
    float best = ends.x;
    for (; i <= last && best < ends.y; i += 4.0) {
        // Beyond the last step it is looked at again, which changes no maximum.
        float some = max(value_at(start, i), value_at(start, min(i + 1.0, last)));
        float others = max(value_at(start, min(i + 2.0, last)), value_at(start, min(i + 3.0, last)));
        best = max(best, max(some, others));
    }
    return best;
}

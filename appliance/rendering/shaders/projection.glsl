// The largest, the least or the mean value along each ray, then windowed; a plane is a ray of one step or of a slab's few.
//
// The largest is sought from the lower end of the window on and no further than the upper one: below and above that nothing
// changes the picture. Blocks that cannot raise it are skipped whole. The least likewise, the other way round.
uniform sampler3D volume;
uniform sampler3D blocks;       // least and largest of each block
uniform sampler2D table;        // 256x256: the grey of each of 65536 values
uniform int method;             // 0 the largest, 1 the least, 2 the mean
uniform int skips;              // whether blocks may be used
uniform vec2 ends;              // of the window, in 0…1 of the texture's range

float grey(float value) {
    int entry = int(clamp(value, 0.0, 1.0) * 65535.0 + 0.5);
    return texelFetch(table, ivec2(entry & 255, entry >> 8), 0).r;
}

float mean_along(vec3 start, vec2 inside) {
    float sum = 0.0;
    float count = 0.0;
    for (float i = ceil(inside.x); i <= inside.y; i += 1.0) {
        sum += textureLod(volume, (start + i * ahead) * reach, 0.0).r;
        count += 1.0;
    }
    return sum / max(count, 1.0);
}

float largest_along(vec3 start, vec2 inside) {
    float best = ends.x;
    float i = ceil(inside.x);
    while (i <= inside.y) {
        float until = inside.y;
        bool is_worth_it = true;
        if (skips == 1) {
            vec3 block = block_at(start + i * ahead);
            until = min(inside.y, last_in_block(start, block, i));
            is_worth_it = texelFetch(blocks, ivec3(block), 0).g > best;
        }
        if (is_worth_it) {
            for (; i <= until; i += 1.0) {
                best = max(best, textureLod(volume, (start + i * ahead) * reach, 0.0).r);
            }
            if (best >= ends.y) {
                break;
            }
        } else {
            i = floor(until) + 1.0;
        }
    }
    return best;
}

float least_along(vec3 start, vec2 inside) {
    float best = ends.y;
    float i = ceil(inside.x);
    while (i <= inside.y) {
        float until = inside.y;
        bool is_worth_it = true;
        if (skips == 1) {
            vec3 block = block_at(start + i * ahead);
            until = min(inside.y, last_in_block(start, block, i));
            is_worth_it = texelFetch(blocks, ivec3(block), 0).r < best;
        }
        if (is_worth_it) {
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

void main() {
    vec3 start = origin + place.x * across + place.y * down;
    vec2 inside = steps_inside(start);
    if (ceil(inside.x) > inside.y) {
        painted = vec4(0.0);
        return;
    }
    float value;
    if (method == 0) {
        value = largest_along(start, inside);
    } else if (method == 1) {
        value = least_along(start, inside);
    } else {
        value = mean_along(start, inside);
    }
    painted = vec4(grey(value));
}

using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Snapshot;

/// <summary>
/// Appends zeros to a CRC-32C in a few steps, however many they are: one zero bit is a linear map of the 32 bits, and its powers by two
/// are kept as matrices.
/// </summary>
internal static class ZeroChecksum
{
    // Row n of the matrix for 2^k zero bytes is what bit n becomes.
    private static readonly uint[][] Powers = BuildPowers();

    public static uint Append(uint crc, long zeroBytes)
    {
        for (int k = 0; zeroBytes != 0; k++, zeroBytes >>= 1)
        {
            if ((zeroBytes & 1) != 0)
            {
                crc = Apply(Powers[k], crc);
            }
        }

        return crc;
    }

    private static uint[][] BuildPowers()
    {
        var powers = new uint[40][];
        powers[0] = new uint[32];
        for (int bit = 0; bit < 32; bit++)
        {
            powers[0][bit] = Crc32C.Append(1u << bit, [0]);
        }

        for (int k = 1; k < powers.Length; k++)
        {
            uint[] half = powers[k - 1];
            powers[k] = Array.ConvertAll(half, row => Apply(half, row));
        }

        return powers;
    }

    private static uint Apply(uint[] matrix, uint vector)
    {
        uint result = 0;
        for (int bit = 0; vector != 0; bit++, vector >>= 1)
        {
            result ^= (vector & 1) != 0 ? matrix[bit] : 0;
        }

        return result;
    }
}

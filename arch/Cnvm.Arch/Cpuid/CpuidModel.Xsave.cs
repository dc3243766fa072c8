namespace Cnvm.Arch.Cpuid;

/// <content>Leaf 0xD: the state components that belong to the features that are left.</content>
public static partial class CpuidModel
{
    // x87 and SSE state with the XSAVE header (SDM vol. 1, 13.4).
    private const uint LegacyAreaAndHeader = 576;

    private static void ApplyXsave(CpuidDraft draft)
    {
        if (!draft.TryGet(CpuidLeaf.Xsave, 0, out var main))
        {
            return;
        }

        draft.TryGet(CpuidLeaf.Features, 0, out var features);
        if ((features.Ecx & CpuidLeaf.Ecx1Xsave) == 0)
        {
            draft.Remove(CpuidLeaf.Xsave);
            return;
        }

        draft.TryGet(CpuidLeaf.ExtendedFeatures, 0, out var extended);
        var components = main.Eax | ((ulong)main.Edx << 32);
        var shown = components & AllowedComponents(features, extended);
        draft.Remove(e => e.Leaf == CpuidLeaf.Xsave && e.Subleaf is >= 2 and < 64
            && (components & (1UL << (int)e.Subleaf)) != 0 && (shown & (1UL << (int)e.Subleaf)) == 0);

        // The standard format has fixed offsets: the area ends with the last component.
        var size = LegacyAreaAndHeader;
        draft.Change(CpuidLeaf.Xsave, e =>
        {
            if (e.Subleaf is >= 2 and < 64 && (shown & (1UL << (int)e.Subleaf)) != 0)
            {
                size = Math.Max(size, e.Ebx + e.Eax);
            }

            return e;
        });
        draft.Set(main with { Eax = (uint)shown, Edx = (uint)(shown >> 32), Ebx = size, Ecx = size });
    }

    private static ulong AllowedComponents(in CpuidEntry features, in CpuidEntry extended)
    {
        var allowed = ulong.MaxValue;
        var avx = (features.Ecx & CpuidLeaf.Ecx1Avx) != 0;
        var avx512 = avx && (extended.Ebx & CpuidLeaf.Ebx7Avx512) != 0;
        Deny(avx, CpuidLeaf.XAvx);
        Deny(avx512, CpuidLeaf.XAvx512);
        Deny((extended.Ebx & CpuidLeaf.Ebx7Mpx) != 0, CpuidLeaf.XMpx);
        Deny((extended.Ecx & CpuidLeaf.Ecx7Pku) != 0, CpuidLeaf.XPku);
        Deny((extended.Edx & CpuidLeaf.Edx7AmxTile) != 0, CpuidLeaf.XAmx);
        return allowed;

        void Deny(bool present, ulong bits)
        {
            if (!present)
            {
                allowed &= ~bits;
            }
        }
    }
}

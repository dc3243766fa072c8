using Cnvm.Hypervisor.State.Format;

namespace Cnvm.Vmm.Migration;

/// <summary>The target's answer to <see cref="MigrationHello"/>.</summary>
/// <param name="Version">The version that both speak.</param>
/// <param name="Features">Bits of the abilities that both have.</param>
/// <param name="Producer">Program and version; for people.</param>
internal sealed record MigrationWelcome(ushort Version, ulong Features, string Producer)
{
    public static MigrationWelcome Describe(StateVisitor v, MigrationWelcome? w) => new(
        v.U16(1, "version", w?.Version), v.U64(2, "features", w?.Features), v.Text(3, "producer", w?.Producer));
}

using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram;

/// <summary>Version and abilities, as <c>--version</c> and <c>vmm.ping</c> tell them.</summary>
internal static class ProgramVersion
{
    /// <summary>Newest version of the migration protocol that this program speaks.</summary>
    private const int MigrationProtocol = 0;

    /// <summary>Abilities under Cloud Hypervisor's names.</summary>
    public static IReadOnlyList<string> Features { get; } = ["io_uring", "kvm"];

    /// <summary>The text of <c>--version</c>; abilities are told from <see cref="LogLevel.Information"/> down.</summary>
    public static string Describe(LogLevel level)
    {
        string text = $"cnvm-vmm v{BuildVersion.Full}\nMigration Protocol Versions: {MigrationProtocol}";
        return level <= LogLevel.Information ? $"{text}\nEnabled features: {string.Join(", ", Features)}" : text;
    }
}

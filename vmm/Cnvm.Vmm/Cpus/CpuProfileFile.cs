using System.Globalization;
using System.Text.Json;
using Cnvm.Arch.Cpuid;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Cpus;

/// <summary>
/// A CPU profile in JSON, in the shape of Firecracker's CPU templates: <c>cpuid_modifiers</c> and <c>msr_modifiers</c> with bitmaps of 0,
/// 1 and x. Beside them <c>name</c>, <c>base</c> (a profile to start from) and <c>tsc_khz</c>.
/// </summary>
public static class CpuProfileFile
{
    private const long MaxBytes = 1 << 20;

    /// <exception cref="MachineBuildException">The file is no profile; the message names the part.</exception>
    public static CpuModelProfile Read(string path)
    {
        try
        {
            if (new FileInfo(path).Length > MaxBytes)
            {
                throw new FormatException($"it has more than {MaxBytes} bytes");
            }

            using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(path));
            return Parse(json.RootElement, Path.GetFileNameWithoutExtension(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or FormatException or InvalidOperationException or KeyNotFoundException)
        {
            throw new MachineBuildException($"cpus.profile: {path}: {e.Message}", e);
        }
    }

    private static CpuModelProfile Parse(JsonElement root, string name)
    {
        CpuModelProfile profile = CpuModelProfile.Host;
        if (root.TryGetProperty("base", out JsonElement start) && !CpuModelProfiles.TryGet(start.GetString() ?? "", out profile))
        {
            throw new FormatException($"base: there is no profile '{start.GetString()}'");
        }

        string own = root.TryGetProperty("name", out JsonElement given) ? given.GetString() ?? name : name;
        return profile with
        {
            Name = CpusConfig.IsHostProfile(profile.Name) ? CpusConfig.HostProfileNamed(own) : own,
            TscKhz = root.TryGetProperty("tsc_khz", out JsonElement khz) ? khz.GetUInt32() : profile.TscKhz,
            Cpuid = [.. profile.Cpuid, .. Items(root, "cpuid_modifiers").SelectMany(CpuidModifiers)],
            Msrs = [.. profile.Msrs, .. Items(root, "msr_modifiers").Select(MsrModifier)],
        };
    }

    private static IEnumerable<JsonElement> Items(JsonElement parent, string property) =>
        parent.TryGetProperty(property, out JsonElement list) ? [.. list.EnumerateArray()] : [];

    private static IEnumerable<CpuidModifier> CpuidModifiers(JsonElement leaf) => Items(leaf, "modifiers").Select(m => new CpuidModifier(
        Number(leaf, "leaf"),
        Number(leaf, "subleaf"),
        m.GetProperty("register").GetString() switch
        {
            "eax" => CpuidRegister.Eax,
            "ebx" => CpuidRegister.Ebx,
            "ecx" => CpuidRegister.Ecx,
            "edx" => CpuidRegister.Edx,
            var other => throw new FormatException($"register: '{other}' is not one of eax, ebx, ecx, edx"),
        },
        Mask(m, 32)));

    private static MsrModifier MsrModifier(JsonElement msr) => new(Number(msr, "addr"), Mask(msr, 64));

    private static TriStateMask Mask(JsonElement parent, int bits) =>
        parent.GetProperty("bitmap").GetString() is { } text && TriStateMask.TryParse(text, bits, out TriStateMask mask)
            ? mask
            : throw new FormatException($"bitmap: '{parent.GetProperty("bitmap")}' is not 0b and up to {bits} of 0, 1 and x");

    private static uint Number(JsonElement parent, string property)
    {
        string text = parent.GetProperty(property).GetString() ?? "";
        return text.StartsWith("0x", StringComparison.Ordinal)
            && uint.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint number)
                ? number
                : throw new FormatException($"{property}: '{text}' is not a hexadecimal number like 0x1");
    }
}

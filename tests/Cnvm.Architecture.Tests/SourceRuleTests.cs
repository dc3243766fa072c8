using System.Text.RegularExpressions;

namespace Cnvm.Architecture.Tests;

/// <summary>House rules that a grep can check.</summary>
public sealed partial class SourceRuleTests
{
    private const int MaxLines = 450;

    private static readonly string[] NativeRooms = ["vmm/Cnvm.Linux/"];

    /// <summary>Rooms where <c>unsafe</c> is allowed: system calls, guest memory, queues, and the tests of those.</summary>
    private static readonly string[] UnsafeRooms =
        ["vmm/Cnvm.Linux/", "vmm/Cnvm.Hypervisor/Memory/", "vmm/Cnvm.Hypervisor.Kvm/", "vmm/Cnvm.Hypervisor.Soft/", "virtio/Cnvm.Virtio/", "vmm/Cnvm.Vmm/Memory/", "tests/", "bench/"];

    [GeneratedRegex(@"\[(LibraryImport|DllImport)\b")]
    private static partial Regex NativeImport();

    [GeneratedRegex(@"^\s*[^/\s].*\bunsafe\b", RegexOptions.Multiline)]
    private static partial Regex UnsafeCode();

    [GeneratedRegex(@"\b(NotImplementedException|TODO|FIXME|HACK|XXX)\b")]
    private static partial Regex Unfinished();

    [GeneratedRegex(@"\bThread\.Sleep\b|\bTask\.Delay\b")]
    private static partial Regex Sleep();

    [GeneratedRegex(@"catch\s*(\([^)]*\))?\s*\{\s*\}")]
    private static partial Regex SwallowedException();

    private static IEnumerable<string> Product => Repository.Sources().Where(f => !f.StartsWith("tests/") && !f.StartsWith("bench/"));

    private static string Text(string file) => File.ReadAllText(Path.Combine(Repository.Root, file));

    private static bool In(string file, string[] rooms) => rooms.Any(r => file.StartsWith(r, StringComparison.Ordinal));

    [Fact]
    public void Only_the_linux_room_imports_native_functions() =>
        Repository.AssertNone(Product.Where(f => !In(f, NativeRooms) && NativeImport().IsMatch(Text(f))));

    [Fact]
    public void Unsafe_code_stays_in_its_rooms() =>
        Repository.AssertNone(Product.Where(f => !In(f, UnsafeRooms) && UnsafeCode().IsMatch(Text(f))));

    [Fact]
    public void Nothing_is_left_unfinished() => Repository.AssertNone(Product.Where(f => Unfinished().IsMatch(Text(f))));

    [Fact]
    public void No_sleep_stands_for_an_event() => Repository.AssertNone(Product.Where(f => Sleep().IsMatch(Text(f))));

    [Fact]
    public void No_exception_is_swallowed() => Repository.AssertNone(Product.Where(f => SwallowedException().IsMatch(Text(f))));

    [Fact]
    public void Files_stay_readable() =>
        Repository.AssertNone(Repository.Sources().Where(f => File.ReadLines(Path.Combine(Repository.Root, f)).Count() > MaxLines));

    [Fact]
    public void Namespaces_are_file_scoped() =>
        Repository.AssertNone(Repository.Sources().Where(f => Regex.IsMatch(Text(f), @"^namespace [\w.]+\s*$", RegexOptions.Multiline)));

    [Fact]
    public void Drawers_for_odds_and_ends_do_not_exist() =>
        Repository.AssertNone(Repository.Sources().Where(f => Regex.IsMatch(Path.GetFileNameWithoutExtension(f), "(Utils?|Utilities|Helpers?|Manager|Common)$")));
}

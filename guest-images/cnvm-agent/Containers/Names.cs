using Cnvm.Ttrpc;

namespace Cnvm.GuestAgent.Containers;

/// <summary>Names that the host gives; they become names of folders.</summary>
internal static class Names
{
    private const int Longest = 128;

    /// <exception cref="TtrpcException">It is no name.</exception>
    public static void Check(string name, string what)
    {
        bool isName = name.Length is > 0 and <= Longest && char.IsAsciiLetterOrDigit(name[0])
            && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');
        if (!isName)
        {
            throw new TtrpcException(
                TtrpcCode.InvalidArgument,
                $"'{(name.Length > Longest ? name[..Longest] : name)}' is no name of a {what}: a letter or digit, then letters, digits, '_', '.' and '-', at most {Longest}");
        }
    }
}

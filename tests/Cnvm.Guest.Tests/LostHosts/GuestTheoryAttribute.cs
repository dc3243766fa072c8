using Xunit.Sdk;

namespace Cnvm.Guest.Tests;

/// <summary>Like <see cref="GuestFactAttribute"/>, with rows of data.</summary>
[XunitTestCaseDiscoverer("Cnvm.Guest.Tests." + nameof(GuestTheoryDiscoverer), "Cnvm.Guest.Tests")]
[AttributeUsage(AttributeTargets.Method)]
public sealed class GuestTheoryAttribute : TheoryAttribute;
